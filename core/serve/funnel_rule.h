/* SPDX-License-Identifier: BSD-3-Clause
 * funnel_rule.h - which ports the internet may reach, and who may open them
 * Source: ipn/serve.go (AllowFunnel, CheckFunnelAccess, CheckFunnelPort)
 */
#ifndef CORE_SERVE_FUNNEL_RULE_H
#define CORE_SERVE_FUNNEL_RULE_H

#include "core/serve/serve_config.h"

/* Of any host and port. */
bool ts_serve_is_funnel_on(const json_t *config);
/* There is an entry, be it that it is switched off. */
bool ts_serve_has_funnel(const json_t *config);
/* "host:port" */
bool ts_serve_lets_funnel(const json_t *config, const char *target);
/* Switch it on or off, in a new configuration. NULL: out of memory. */
json_t *ts_serve_set_funnel(const json_t *config, const char *target, bool on);

/* Has the node with these capabilities the right to it? 0 or -EPERM: err says
 * what is missing, in upstream's words. */
int ts_funnel_check(const json_t *cap_map, uint16_t port,
		    char err[static TS_SERVE_ERROR_CAP]);

#endif
