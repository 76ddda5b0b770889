// SPDX-License-Identifier: Apache-2.0
// Development only: users, tenants, tokens and the audit log in memory.
import { randomBytes } from 'node:crypto';

export function createAdmin() {
  const now = Date.now();
  const users = [
    {
      id: 1,
      login: 'ana',
      name: 'Ana Ruiz',
      disabled: false,
      instanceAdmin: true,
      roles: { anonymous: 'admin' },
      createdMs: now - 9e8,
      lastLoginMs: now - 6e5,
    },
    {
      id: 2,
      login: 'luis',
      name: 'Luis Gómez',
      disabled: false,
      instanceAdmin: false,
      roles: { anonymous: 'viewer' },
      createdMs: now - 5e8,
      lastLoginMs: null,
    },
  ];
  const tenants = [{ name: 'anonymous', displayName: 'Default', createdMs: now - 9e8 }];
  const tokens = [
    {
      id: 1,
      name: 'collector',
      tenant: 'anonymous',
      scopes: ['metrics:write'],
      createdMs: now - 8e8,
      lastUsedMs: now - 3000,
      expiresMs: null,
    },
  ];
  const audit = [];
  let next = 10;
  const log = (action, target, detail = '') =>
    audit.unshift({ id: next++, timeMs: Date.now(), actor: 'ana', tenant: 'anonymous', action, target, detail });
  for (let i = 0; i < 12; i++) log('token.use', 'collector', 'first use today');

  return {
    users,
    async handle(request, response, path, url, json, readBody) {
      const [kind, id] = path.split('/');
      const body = ['POST', 'PATCH'].includes(request.method) ? JSON.parse((await readBody(request)).toString()) : null;
      const lists = { users, tenants, tokens };
      if (kind === 'audit') {
        const before = Number(url.searchParams.get('before') ?? Infinity);
        return json(
          response,
          200,
          audit.filter((a) => a.id < before).slice(0, Number(url.searchParams.get('limit') ?? 50)),
        );
      }
      const list = lists[kind];
      if (!list) return false;
      if (request.method === 'GET') return json(response, 200, list);
      if (request.method === 'POST') {
        if (list.some((e) => (e.login ?? e.name) === (body.login ?? body.name)))
          return json(response, 409, { code: 'conflict', message: 'There is one with this name already.', params: {} });
        const made = {
          ...body,
          id: next++,
          createdMs: Date.now(),
          lastLoginMs: null,
          lastUsedMs: null,
          disabled: false,
          expiresMs: body.expiresMs ?? null,
        };
        delete made.password;
        list.push(made);
        log(`${kind}.create`, body.login ?? body.name);
        return json(
          response,
          201,
          kind === 'tokens' ? { ...made, token: `tcy_${randomBytes(20).toString('hex')}` } : made,
        );
      }
      const at = list.findIndex((e) => String(kind === 'tenants' ? e.name : e.id) === decodeURIComponent(id));
      if (at < 0) return json(response, 404, { code: 'not_found', message: 'There is no such thing.', params: {} });
      if (request.method === 'PATCH') return json(response, 200, Object.assign(list[at], body));
      log(`${kind}.delete`, list[at].login ?? list[at].name);
      list.splice(at, 1);
      return json(response, 204, null);
    },
  };
}
