/* SPDX-License-Identifier: BSD-3-Clause
 * control_config.h - a copy of the configuration that the client owns
 */
#ifndef CORE_CONTROL_CONTROL_CONFIG_H
#define CORE_CONTROL_CONTROL_CONFIG_H

#include "core/control/control_client.h"

/* 0 or -ENOMEM (then there is nothing to free). */
int ts_control_config_copy(const struct ts_control_config *from,
			   struct ts_control_config *to);
/* Replaces the list with a copy of this one. 0 or -ENOMEM. */
int ts_control_config_set_routes(struct ts_control_config *config,
				 const struct ts_prefix *routes, size_t count);
/* Wipes the keys. */
void ts_control_config_deinit(struct ts_control_config *config);

#endif
