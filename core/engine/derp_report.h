/* SPDX-License-Identifier: BSD-3-Clause
 * derp_report.h - what is wrong with a DERP region, for people
 */
#ifndef CORE_ENGINE_DERP_REPORT_H
#define CORE_ENGINE_DERP_REPORT_H

#include <jansson.h>

#include "core/model/netmap.h"

struct ts_engine;

/* As in struct ts_localapi_env; ctx: the engine. */
void engine_derp_report(void *ctx, const struct ts_derp_region *region,
			json_t *report,
			void (*done)(void *done_ctx, json_t *report),
			void *done_ctx);
/* Those under way say what they have. */
void engine_derp_reports_end(struct ts_engine *engine);

#endif
