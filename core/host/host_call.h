/* SPDX-License-Identifier: BSD-3-Clause
 * host_call.h - connections that the host makes for somebody without a shim
 */
#ifndef CORE_HOST_HOST_CALL_H
#define CORE_HOST_HOST_CALL_H

#include "core/base/addr.h"

struct ts_host;
struct ts_member;

/* A socket that is being connected to an address of the tailnet's, or of the
 * host's network; non-blocking, the caller's to close. Or -errno. */
int ts_host_call(struct ts_member *member, const struct ts_addr *to);
/* The same, and the caller is to connect it at once: to *via. */
int ts_host_prepare_call(struct ts_member *member, const struct ts_addr *to,
			 struct ts_addr *via);
/* Once it is writable: 0, or why it is not connected. */
int ts_host_call_result(const struct ts_host *host, int fd);
/* Close it. */
void ts_host_hang_up(int fd);
/* Bytes both ways until both have ended; both are the host's from now on. */
void ts_host_join(struct ts_host *host, int a, int b);

#endif
