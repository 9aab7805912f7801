/* SPDX-License-Identifier: BSD-3-Clause
 * grants_json.h - capabilities that the rules give to peers
 */
#ifndef CORE_FILTER_GRANTS_JSON_H
#define CORE_FILTER_GRANTS_JSON_H

#include <jansson.h>

#include "core/filter/ip_set.h"
#include "core/model/netmap.h"

struct ts_grants;

/* NULL when out of memory. Shares the rules' JSON values by count. */
struct ts_grants *ts_grants_new(const struct ts_filter_rule *rules,
				size_t rule_count);
void ts_grants_free(struct ts_grants *grants);
/* New object {cap: [values...]}, NULL when out of memory. No grants (NULL):
 * an empty one. */
json_t *ts_grants_of(const struct ts_grants *grants, const struct ts_ip *src,
		     const struct ts_ip *dst);
bool ts_grants_include(const struct ts_grants *grants, const struct ts_ip *src,
		       const struct ts_ip *dst, const char *cap);
/* Whoever has it. */
bool ts_grants_know(const struct ts_grants *grants, const char *cap);

#endif
