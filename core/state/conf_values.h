/* SPDX-License-Identifier: BSD-3-Clause
 * conf_values.h - one option's text into its field (private to core/state)
 *
 *   conf_values  words, numbers, texts; which reader has which option
 *   conf_secret  secrets            conf_lists   tags, endpoints, ports
 *   conf_nodes   several nodes      conf_routes  networks that are offered
 *
 * A reader returns 0, -ENOMEM or -EINVAL; then ts_conf_set() finds the words,
 * unless the reader has put its own into err.
 */
#ifndef CORE_STATE_CONF_VALUES_H
#define CORE_STATE_CONF_VALUES_H

#include "core/state/conf_file.h"

/* Replaces the field that option names. source is "FILE:LINE" or the name of
 * an environment variable. 0, -ENOMEM, or -EINVAL/-ENOENT with err set. */
int ts_conf_set(struct ts_config *config, const struct ts_config_option *option,
		const char *value, const char *source,
		const struct ts_config_input *in, char err[static 256]);

/* A copy; NULL for none. */
int ts_conf_read_text(const char *text, char **out);
int ts_conf_read_port(const char *text, uint16_t *out);

/* -- conf_lists.c --------------------------------------------------------- */
int ts_conf_read_tags(const char *text, struct ts_config *config);
void ts_conf_free_tags(struct ts_config *config);
int ts_conf_read_endpoints(const char *text, struct ts_config *config);
int ts_conf_read_tls_ports(const char *text, struct ts_config *config);

/* -- conf_secret.c -------------------------------------------------------- */
/* -ENOENT, too. */
int ts_conf_read_secret(const char *text, char **out, struct ts_config *config,
			const struct ts_config_option *option,
			const char *source, const struct ts_config_input *in,
			char err[static 256]);
void ts_conf_forget_variables(struct ts_config *config);

/* -- conf_nodes.c --------------------------------------------------------- */
int ts_conf_read_nodes(const char *text, struct ts_config *config);
int ts_conf_read_rules(const char *text, struct ts_config *config,
		       const struct ts_config_option *option,
		       const char *source, char err[static 256]);
int ts_conf_read_stand_ins(const char *text, struct ts_config *config);
int ts_conf_read_interface(const char *text, char **out);

#endif
