/* SPDX-License-Identifier: BSD-3-Clause
 * broker_server.h - what the broker's files share
 *
 *   broker_listen  where programs find it
 *   broker_server  its clients: one request each
 *   broker_told    those who want no answer
 *   broker_answer  who may ask what, and who answers it
 */
#ifndef CORE_HOST_BROKER_SERVER_H
#define CORE_HOST_BROKER_SERVER_H

#include <sys/socket.h>

#include "core/host/host_internal.h"

struct ts_name_lookup; /* name_lookup.h */

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

struct ts_client {
	struct ts_link link; /* in reading, held or looking */
	struct ts_host *host;
	struct ts_watch *watch;
	int fd;
	pid_t pid;
	bool is_trusted; /* by its uid */
	bool is_held;
	uint64_t deadline_ms;
	struct ts_broker_request req; /* when held */
	uint8_t *held_data;	      /* req.data points to it */
	struct ts_name_lookup *lookup; /* NULL: none on its way */
};

/* -- broker_server.c ------------------------------------------------------ */
void ts_broker_free_client(struct ts_client *client);
/* Sends rep, with pass_fd when >= 0. A client that cannot take it loses it. */
void ts_broker_reply_to(const struct ts_client *client,
			const struct ts_broker_reply *rep, int pass_fd);
void ts_broker_refuse(const struct ts_client *client,
		      const struct ts_broker_request *req, int error);
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

/* -- broker_answer.c ------------------------------------------------------ */
/* A message of len bytes, or -errno. Takes fd. false: req is to be held. */
bool ts_broker_handle(struct ts_client *client, const uint8_t *in, ssize_t len,
		      int fd, struct ts_broker_request *req);
/* A request that has been through that. Takes fd. false: hold it (longer). */
bool ts_broker_answer(struct ts_client *client,
		      const struct ts_broker_request *req, int fd);

/* -- broker_told.c -------------------------------------------------------- */
/* Takes in what was said so far. */
void ts_broker_take_told(struct ts_broker_server *server);
/* Beside path; under tsrun alone. Without it programs ask by connections. */
int ts_broker_open_told(struct ts_broker_server *server);
void ts_broker_close_told(struct ts_broker_server *server);

/* -- broker_listen.c ------------------------------------------------------ */
/* 0, or -errno when there is no way in; a single one that fails is logged. */
int ts_broker_listen(struct ts_broker_server *server,
		     const struct ts_host_config *config);
void ts_broker_unlisten(struct ts_broker_server *server);
/* For one more client, and the socket that it brings? */
bool ts_broker_has_descriptors(const struct ts_broker_server *server);
/* false: rest for a moment. */
void ts_broker_set_accepting(struct ts_broker_server *server, bool on);

#endif
