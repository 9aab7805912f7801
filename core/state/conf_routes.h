/* SPDX-License-Identifier: BSD-3-Clause
 * conf_routes.h - the networks that the user offers to route for others
 */
#ifndef CORE_STATE_CONF_ROUTES_H
#define CORE_STATE_CONF_ROUTES_H

#include "core/state/conf_file.h"

/* Prefixes, separated by commas or blanks, in place of those of config. 0,
 * -EINVAL (err says which one, and why) or -ENOMEM. source: where the text
 * comes from, for err. */
int ts_conf_read_routes(const char *text, struct ts_config *config,
			const char *source, char err[static 256]);
/* Adds both default routes, unless they are there. 0 or -ENOMEM. */
int ts_conf_add_exit_routes(struct ts_config *config);

#endif
