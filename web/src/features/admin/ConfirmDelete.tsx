// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Dialog } from '@/shared/ui/Dialog';
import { Message } from '@/shared/ui/Message';
import css from './Admin.module.css';

interface Props {
  title: string;
  text: string;
  run: () => Promise<unknown>;
  onDone: () => void;
  onClose: () => void;
}

export function ConfirmDelete({ title, text, run, onDone, onClose }: Props) {
  const { t } = useTranslation('common');
  const remove = useMutation({
    mutationFn: run,
    onSuccess: () => {
      onDone();
      onClose();
    },
  });
  return (
    <Dialog title={title} size="sm" onClose={onClose}>
      <div className={css.form}>
        <p>{text}</p>
        {remove.error && <Message level="critical">{remove.error.message}</Message>}
        <div className={css.buttons}>
          <Button variant="default" onClick={onClose}>
            {t('action.cancel')}
          </Button>
          <Button
            color="red"
            loading={remove.isPending}
            onClick={() => remove.mutate()}
            styles={{ root: { background: 'var(--k-danger)', color: 'var(--k-on-danger)' } }}
          >
            {t('action.delete')}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
