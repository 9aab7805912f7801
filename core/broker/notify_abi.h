/* SPDX-License-Identifier: BSD-3-Clause
 * notify_abi.h - how a process finds out whose filter it is under
 *
 * Asked by --notify, which has nothing to do then, and by the shim: under the
 * filter the host does all that its hooks would, and they must not do it too.
 */
#ifndef CORE_BROKER_NOTIFY_ABI_H
#define CORE_BROKER_NOTIFY_ABI_H

#include <stdint.h>

/* getsockopt(-1, TS_NOTIFY_PROBE_LEVEL, id): EBADF without a filter of ours,
 * TS_NOTIFY_PROBE_ERRNO under one that the host with this id serves. */
enum { TS_NOTIFY_PROBE_LEVEL = 0x74736e50, TS_NOTIFY_PROBE_ERRNO = 114 };

/* A host's id: FNV-1a of its broker's abstract name and path. */
static inline uint32_t ts_notify_host_id(const char *abstract,
					 const char *path)
{
	uint32_t id = 2166136261u;

	for (; *abstract; abstract++)
		id = (id ^ (uint8_t)*abstract) * 16777619u;
	for (; *path; path++)
		id = (id ^ (uint8_t)*path) * 16777619u;
	return id;
}

#endif
