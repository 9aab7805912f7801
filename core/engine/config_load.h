/* SPDX-License-Identifier: BSD-3-Clause
 * config_load.h - this process's configuration
 */
#ifndef CORE_ENGINE_CONFIG_LOAD_H
#define CORE_ENGINE_CONFIG_LOAD_H

#include "core/state/conf_file.h"

/* tsnet.conf (TSNET_CONF, else the first of $XDG_CONFIG_HOME/tsnet/tsnet.conf,
 * ~/.config/tsnet/tsnet.conf, /etc/tsnet/tsnet.conf that exists), then the
 * environment. 0 or negative errno with one line in err. */
int config_load_from_environment(struct ts_config *out, char err[static 256]);
/* The same of one node, whatever `nodes` says, with another environment
 * ("NAME=value", NULL at the end; of two entries of one name the first counts).
 */
int config_load_alone(struct ts_config *out, char **env, char err[static 256]);
/* That node as before, which came from the environment, with what the file says
 * now and without its secrets. As above. */
int config_load_again(struct ts_config *out, const struct ts_config *before,
		      char err[static 256]);

#endif
