/* SPDX-License-Identifier: BSD-3-Clause
 * notify_filter.h - the seccomp filter that shows a program's socket calls
 */
#ifndef CORE_ENGINE_NOTIFY_FILTER_H
#define CORE_ENGINE_NOTIFY_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

enum { NOTIFY_FILTER_CAP = 320 };

/* Writes the filter for a host's id (notify_abi.h); its length, or -ENOBUFS.
 * shows_socket: socket(), too (core/host/notify_made.c). */
int notify_filter_write(uint32_t host_id, bool shows_socket,
			struct sock_filter out[static NOTIFY_FILTER_CAP]);
/* Puts it on the calling thread: the listener, or -errno. -EBUSY: the thread
 * is under another supervisor. -EPERM, -ENOSYS, -EINVAL: denied, too old. */
int notify_filter_install(uint32_t host_id);
/* 0, or the errno of what is missing; installs nothing. */
int notify_filter_probe(void);

#endif
