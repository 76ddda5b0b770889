// SPDX-License-Identifier: Apache-2.0
import { queryOptions } from '@tanstack/react-query';
import type { components } from '@/shared/api/generated';
import { request } from '@/shared/api/request';

type Schemas = components['schemas'];
export type AdminUser = Schemas['User'];
export type Tenant = Schemas['Tenant'];
export type Token = Schemas['Token'];
export type AuditEntry = Schemas['AuditEntry'];
export type NewUser = Schemas['NewUser'];
export type NewToken = Schemas['NewToken'];

const API = '/tenancy/api/v1';

const list = <T>(name: string) =>
  queryOptions({
    queryKey: ['admin', name],
    queryFn: ({ signal }) => request<T[]>(`${API}/${name}`, { signal }),
  });

export const usersQuery = list<AdminUser>('users');
export const tenantsQuery = list<Tenant>('tenants');
export const tokensQuery = list<Token>('tokens');

export const createUser = (user: NewUser) => request<AdminUser>(`${API}/users`, { method: 'POST', json: user });
export const patchUser = (id: number, change: Schemas['UserChange']) =>
  request<AdminUser>(`${API}/users/${id}`, { method: 'PATCH', json: change });
export const deleteUser = (id: number) => request<void>(`${API}/users/${id}`, { method: 'DELETE' });
export const createTenant = (tenant: Pick<Tenant, 'name' | 'displayName'>) =>
  request<Tenant>(`${API}/tenants`, { method: 'POST', json: tenant });
export const deleteTenant = (name: string) =>
  request<void>(`${API}/tenants/${encodeURIComponent(name)}`, { method: 'DELETE' });
export const createToken = (token: NewToken) =>
  request<Schemas['CreatedToken']>(`${API}/tokens`, { method: 'POST', json: token });
export const deleteToken = (id: number) => request<void>(`${API}/tokens/${id}`, { method: 'DELETE' });
export const auditPage = (before: number | null, signal: AbortSignal) =>
  request<AuditEntry[]>(`${API}/audit?limit=50${before === null ? '' : `&before=${before}`}`, { signal });
