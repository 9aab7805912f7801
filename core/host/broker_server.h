/* SPDX-License-Identifier: BSD-3-Clause
 * broker_server.h - the broker's clients (broker_server.c), its listeners
 * (broker_listen.c), and those who want no answer (broker_told.c)
 */
#ifndef CORE_HOST_BROKER_SERVER_H
#define CORE_HOST_BROKER_SERVER_H

#include <sys/socket.h>

#include "core/host/host_internal.h"

struct ts_broker_server {
	struct ts_host *host;
	int path_fd, abstract_fd; /* -1: none */
	int told_fd; /* of datagrams; -1: none */
	struct ts_watch *path_watch, *abstract_watch, *told_watch;
	char path[TS_TABLE_PATH_CAP]; /* to be unlinked */
	struct ts_link reading, held; /* each by deadline_ms */
	struct ts_link looking; /* for a name; that ends by itself */
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
/* Of the clients that have not asked yet; false: what they say waits. */
void ts_broker_set_reading(struct ts_broker_server *server, bool on);

/* What somebody said who waits for no answer. Takes fd; len: or -errno. */
void ts_broker_hear(struct ts_broker_server *server, const struct ucred *who,
		    const uint8_t *in, ssize_t len, int fd);
/* The first fd of a message, -1 for none; closes the others. */
int ts_broker_take_fd(const struct ts_host *host, struct msghdr *msg);
/* Takes in what was said so far. */
void ts_broker_take_told(struct ts_broker_server *server);

/* Beside path; under tsrun alone. Without it programs ask by connections. */
int ts_broker_open_told(struct ts_broker_server *server);
void ts_broker_close_told(struct ts_broker_server *server);

/* 0, or -errno when there is no way in; a single one that fails is logged. */
int ts_broker_listen(struct ts_broker_server *server,
		     const struct ts_host_config *config);
void ts_broker_unlisten(struct ts_broker_server *server);
/* For one more client, and the socket that it brings? */
bool ts_broker_has_descriptors(const struct ts_broker_server *server);
/* false: rest for a moment. */
void ts_broker_set_accepting(struct ts_broker_server *server, bool on);

#endif
