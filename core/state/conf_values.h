/* SPDX-License-Identifier: BSD-3-Clause
 * conf_values.h - one option's text into its field (private to core/state)
 */
#ifndef CORE_STATE_CONF_VALUES_H
#define CORE_STATE_CONF_VALUES_H

#include "core/state/conf_file.h"

/* Replaces the field that option names. source is "FILE:LINE" or the name of
 * an environment variable. 0, -ENOMEM, or -EINVAL/-ENOENT with err set. */
int ts_conf_set(struct ts_config *config, const struct ts_config_option *option,
		const char *value, const char *source,
		const struct ts_config_input *in, char err[static 256]);

#endif
