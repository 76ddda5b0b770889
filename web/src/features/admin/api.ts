// SPDX-License-Identifier: Apache-2.0
import { queryOptions } from '@tanstack/react-query';
import type { Role } from '@/shared/api/boot';
import { request } from '@/shared/api/request';

export interface AdminUser {
  id: number;
  login: string;
  name: string;
  disabled: boolean;
  instanceAdmin: boolean;
  roles: Record<string, Role>;
  createdMs: number;
  lastLoginMs: number | null;
}

export interface Tenant {
  name: string;
  displayName: string;
  createdMs: number;
}

export interface Token {
  id: number;
  name: string;
  tenant: string;
  scopes: string[];
  createdMs: number;
  lastUsedMs: number | null;
  expiresMs: number | null;
}

export interface AuditEntry {
  id: number;
  timeMs: number;
  actor: string;
  tenant: string;
  action: string;
  target: string;
  detail: string;
}

const API = '/tenancy/api/v1';

const list = <T>(name: string) =>
  queryOptions({
    queryKey: ['admin', name],
    queryFn: ({ signal }) => request<T[]>(`${API}/${name}`, { signal }),
  });

export const usersQuery = list<AdminUser>('users');
export const tenantsQuery = list<Tenant>('tenants');
export const tokensQuery = list<Token>('tokens');

export type NewUser = Pick<AdminUser, 'login' | 'name' | 'instanceAdmin' | 'roles'> & { password: string };
export type NewToken = Pick<Token, 'name' | 'tenant' | 'scopes' | 'expiresMs'>;

export const createUser = (user: NewUser) => request<AdminUser>(`${API}/users`, { method: 'POST', json: user });
export const patchUser = (id: number, change: Partial<AdminUser> & { password?: string }) =>
  request<AdminUser>(`${API}/users/${id}`, { method: 'PATCH', json: change });
export const deleteUser = (id: number) => request<void>(`${API}/users/${id}`, { method: 'DELETE' });
export const createTenant = (tenant: Pick<Tenant, 'name' | 'displayName'>) =>
  request<Tenant>(`${API}/tenants`, { method: 'POST', json: tenant });
export const deleteTenant = (name: string) =>
  request<void>(`${API}/tenants/${encodeURIComponent(name)}`, { method: 'DELETE' });
export const createToken = (token: NewToken) =>
  request<Token & { token: string }>(`${API}/tokens`, { method: 'POST', json: token });
export const deleteToken = (id: number) => request<void>(`${API}/tokens/${id}`, { method: 'DELETE' });
export const auditPage = (before: number | null, signal: AbortSignal) =>
  request<AuditEntry[]>(`${API}/audit?limit=50${before === null ? '' : `&before=${before}`}`, { signal });
