/* SPDX-License-Identifier: BSD-3-Clause
 * local_server.h - the LocalAPI on a Unix socket
 */
#ifndef CORE_ENGINE_LOCAL_SERVER_H
#define CORE_ENGINE_LOCAL_SERVER_H

struct ts_engine;
struct local_server;

/* Mode 0600 on the socket; an abandoned one is replaced. 0 or negative errno
 * with one line in err. */
int local_server_open(struct local_server **out, struct ts_engine *engine,
		      const char *path, char err[static 256]);
/* With an operator in the preferences everybody may open the socket, as
 * upstream's; without one only our user may. */
void local_server_follow_operator(struct local_server *server);
void local_server_close(struct local_server *server); /* NULL is fine */

#endif
