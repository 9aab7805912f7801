/* SPDX-License-Identifier: BSD-3-Clause
 * link_dial.h - a connected TCP socket to one host, all its addresses raced
 */
#ifndef CORE_IO_LINK_DIAL_H
#define CORE_IO_LINK_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/io/resolver.h"
#include "core/loop/loop.h"

struct ts_dial;
/* fd >= 0: connected, non-blocking, now the callee's; else error says why
 * (without host and port). The dial is gone when fn runs. */
typedef void (*ts_dial_fn)(void *ctx, int fd, const char *error);

/* ipv4, ipv6: as in struct ts_link_config. fn is never called inside. NULL:
 * out of memory. There is no time limit: the caller cancels. */
struct ts_dial *ts_dial_start(struct ts_loop *loop, struct ts_resolver *res,
			      const char *host, const char *ipv4,
			      const char *ipv6, uint16_t port, ts_dial_fn fn,
			      void *ctx);
void ts_dial_cancel(struct ts_dial *dial); /* NULL is fine */
/* Is it still waiting for the name? (for the words of a time-out) */
bool ts_dial_is_resolving(const struct ts_dial *dial);

#endif
