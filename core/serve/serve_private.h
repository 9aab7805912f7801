/* SPDX-License-Identifier: BSD-3-Clause
 * serve_private.h - what core/serve's files look up for each other
 */
#ifndef CORE_SERVE_SERVE_PRIVATE_H
#define CORE_SERVE_SERVE_PRIVATE_H

#include "core/serve/serve_config.h"

/* TCPPortHandler; NULL: none. Of this configuration (or service) alone: */
const json_t *serve_port_of(const json_t *config, uint16_t port);
/* Of the watchers' first, then of the one that stays. */
const json_t *serve_find_port(const json_t *config, uint16_t port,
			      bool *is_foreground);
/* ServiceConfig; NULL: none */
const json_t *serve_service_of(const json_t *config, const char *service);
void serve_read_tcp(const json_t *tcp, struct ts_serve_tcp *out);

#endif
