/* SPDX-License-Identifier: BSD-3-Clause
 * local_dial.h - connections, and names, that LocalAPI callers ask for
 */
#ifndef CORE_ENGINE_LOCAL_DIAL_H
#define CORE_ENGINE_LOCAL_DIAL_H

#include "core/engine/engine_internal.h"
#include "core/localapi/localapi.h"

/* As in struct ts_localapi_env; ctx: the engine. */
void engine_local_dial(void *ctx, const struct ts_addr *to,
		       ts_localapi_dialled_fn done, void *done_ctx);
void engine_local_dial_host(void *ctx, const struct ts_addr *to,
			    ts_localapi_dialled_fn done, void *done_ctx);
void engine_local_dial_cancel(void *ctx, const void *done_ctx);
void engine_local_resolve(void *ctx, const char *name,
			  ts_localapi_resolved_fn done, void *done_ctx);
/* Those that wait fail. */
void engine_local_dials_end(struct ts_engine *engine);

#endif
