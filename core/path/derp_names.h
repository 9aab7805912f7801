/* SPDX-License-Identifier: BSD-3-Clause
 * derp_names.h - addresses of the DERP nodes that the map gives by name only
 *
 * STUN needs addresses. The names are asked for when the map comes, when the
 * network changes, and again before a full check where no answer came. What
 * is known stays until a later answer replaces it.
 */
#ifndef CORE_PATH_DERP_NAMES_H
#define CORE_PATH_DERP_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"
#include "core/model/netmap.h"

enum { DERP_NAMES_MAX = 256 };

struct ts_derp_name {
	char *host;
	struct ts_ip v4, v6; /* :: when unknown */
	bool is_asked;       /* and not answered yet */
};

struct ts_derp_names {
	struct ts_derp_name *names; /* heap */
	size_t count, asked_count;
};

/* 0 or -ENOMEM: then some are missing. Keeps what is known of names that are
 * in the new map too. map NULL: none. */
int ts_derp_names_set_map(struct ts_derp_names *n,
			  const struct ts_derp_map *map);
void ts_derp_names_deinit(struct ts_derp_names *n);
/* The next name to ask for, or NULL; all: known ones as well. *pos starts at
 * 0. It counts as asked from then on. */
const char *ts_derp_names_next(struct ts_derp_names *n, size_t *pos, bool all);
/* The answer; count 0: none. True: it was the last that was waited for, so a
 * check is worth while. */
bool ts_derp_names_answered(struct ts_derp_names *n, const char *host,
			    const struct ts_ip *ips, size_t count);
bool ts_derp_names_find(const struct ts_derp_names *n, const char *host,
			bool want_v6, struct ts_ip *out);

#endif
