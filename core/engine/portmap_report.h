/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_report.h - does a gateway map ports? for people
 */
#ifndef CORE_ENGINE_PORTMAP_REPORT_H
#define CORE_ENGINE_PORTMAP_REPORT_H

#include "core/localapi/localapi.h"

struct ts_engine;

/* As in struct ts_localapi_env; ctx: the engine. */
int engine_portmap_report(void *ctx, const struct ts_localapi_portmap *wish,
			  void (*line)(void *line_ctx, const char *text),
			  void *line_ctx);
void engine_portmap_leave(void *ctx);
/* What goes on ends; a mapping runs out by itself. */
void engine_portmap_report_end(struct ts_engine *engine);

#endif
