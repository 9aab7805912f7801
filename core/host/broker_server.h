/* SPDX-License-Identifier: BSD-3-Clause
 * broker_server.h - the broker's clients (broker_server.c) and its listeners
 * (broker_listen.c)
 */
#ifndef CORE_HOST_BROKER_SERVER_H
#define CORE_HOST_BROKER_SERVER_H

#include "core/host/host_internal.h"

struct ts_broker_server {
	struct ts_host *host;
	int path_fd, abstract_fd; /* -1: none */
	struct ts_watch *path_watch, *abstract_watch;
	char path[TS_TABLE_PATH_CAP]; /* to be unlinked */
	struct ts_link reading, held; /* each by deadline_ms */
	struct ts_timer *timer;
	uint64_t resume_ms; /* accepting again; UINT64_MAX: not paused */
	size_t client_count, stranger_count;
	int last_fd; /* the highest descriptor that our limit allows */
	struct ts_log_limit limit;
};

/* The oldest stranger makes room. A crowd of the host's own uid waits. */
bool ts_broker_has_room(struct ts_broker_server *server);
void ts_broker_add_client(struct ts_broker_server *server, int fd);
void ts_broker_arm_timer(struct ts_broker_server *server);

/* 0, or -errno when there is no way in; a single one that fails is logged. */
int ts_broker_listen(struct ts_broker_server *server,
		     const struct ts_host_config *config);
void ts_broker_unlisten(struct ts_broker_server *server);
/* false: rest for a moment. */
void ts_broker_set_accepting(struct ts_broker_server *server, bool on);

#endif
