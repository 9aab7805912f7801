/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_metrics.h - GET /metrics on a loopback port
 */
#ifndef CORE_ENGINE_LOCAL_SERVER_METRICS_H
#define CORE_ENGINE_LOCAL_SERVER_METRICS_H

struct ts_engine;
struct metrics_server;

/* At config.metrics_listen; *out stays NULL where that names none. 0 or a
 * negative errno with one line in err. */
int metrics_server_open(struct metrics_server **out, struct ts_engine *engine,
			char err[static 256]);
void metrics_server_close(struct metrics_server *server); /* NULL is fine */

#endif
