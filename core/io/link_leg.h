/* SPDX-License-Identifier: BSD-3-Clause
 * link_leg.h - one candidate of a link: from its config to a ready stream
 */
#ifndef CORE_IO_LINK_LEG_H
#define CORE_IO_LINK_LEG_H

#include "core/io/link.h"
#include "core/io/link_tls.h"

struct ts_leg;
/* fd >= 0: connected, it and tls (NULL: plain) are the callee's. Else error
 * is one line with host, port and reason. The leg is gone when fn runs. */
typedef void (*ts_leg_fn)(void *ctx, int fd, struct ts_tls *tls,
			  const char *error);

/* config must outlive the leg. fn is never called inside. */
struct ts_leg *ts_leg_start(struct ts_loop *loop, struct ts_resolver *res,
			    const struct ts_link_config *config, ts_leg_fn fn,
			    void *ctx);
void ts_leg_cancel(struct ts_leg *leg); /* NULL is fine */

#endif
