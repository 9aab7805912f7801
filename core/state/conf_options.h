/* SPDX-License-Identifier: BSD-3-Clause
 * conf_options.h - the table of all options (private to core/state)
 *
 * What others ask of it is in conf_file.h.
 */
#ifndef CORE_STATE_CONF_OPTIONS_H
#define CORE_STATE_CONF_OPTIONS_H

#include "core/state/conf_file.h"

enum { TS_CONF_OPTIONS_MAX = 64 };

const struct ts_config_option *ts_conf_find_option(const char *key);

#endif
