/* SPDX-License-Identifier: BSD-3-Clause
 * broker_server.c - one request, one reply, for programs that may ask
 *
 * A client gets READ_LIMIT_MS to say what it wants, and the reply must fit
 * into its socket at once, so no client can hold up another; nor can a crowd of
 * those who say nothing, since they give way. Requests that need the netmap may
 * be held until it is there or the node's timeout is over.
 *
 * Those who are not known by their uid share a small number of places, the
 * oldest leaving first. What becomes of a request is in broker_answer.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/broker_server.h"
#include "core/host/name_lookup.h"

enum {
	CLIENTS_MAX = 1024,
	STRANGERS_MAX = 64, /* of them, while not known to be allowed */
	READ_LIMIT_MS = 2000,
	FDS_MAX = 4,	   /* what a hostile client may send; we take one */
};

static struct ts_client *first_of(const struct ts_link *head)
{
	if (ts_list_is_empty(head))
		return NULL;
	return TS_LINK_OWNER(head->next, struct ts_client, link);
}

/* -- clients -------------------------------------------------------------- */

void ts_broker_free_client(struct ts_client *client)
{
	struct ts_broker_server *server = client->host->server;

	server->client_count--;
	if (!client->is_trusted && !client->is_held)
		server->stranger_count--;
	ts_list_remove(&client->link);
	ts_watch_free(client->watch);
	ts_sock_close(client->fd);
	ts_name_lookup_cancel(client->lookup);
	free(client->held_data);
	free(client);
}

void ts_broker_arm_timer(struct ts_broker_server *server)
{
	const struct ts_client *reading = first_of(&server->reading);
	const struct ts_client *held = first_of(&server->held);
	uint64_t at_ms = server->resume_ms;

	if (reading && reading->deadline_ms < at_ms)
		at_ms = reading->deadline_ms;
	if (held && held->deadline_ms < at_ms)
		at_ms = held->deadline_ms;
	ts_timer_set(server->timer, at_ms);
}

void ts_broker_reply_to(const struct ts_client *client,
			const struct ts_broker_reply *rep, int pass_fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	uint8_t out[TS_BROKER_MESSAGE_MAX];
	int len = ts_broker_write_reply_head(rep, out, sizeof(out));
	struct iovec iov[] = {
		{.iov_base = out, .iov_len = (size_t)len},
		{.iov_base = (void *)(uintptr_t)rep->data,
		 .iov_len = rep->data_len},
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (len < 0)
		return;
	if (pass_fd >= 0) {
		struct cmsghdr *c = &control.align;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
	}
	(void)sendmsg(client->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_client(void *ctx, unsigned events);

/* false: out of memory. */
static bool watch(struct ts_client *client)
{
	if (!client->watch)
		client->watch = ts_watch_new(client->host->loop, client->fd,
					     TS_READABLE, on_client, client);
	return client->watch;
}

void ts_broker_refuse(const struct ts_client *client,
		      const struct ts_broker_request *req, int error)
{
	const struct ts_broker_reply rep = {.type = req->type, .error = error};

	ts_broker_reply_to(client, &rep, -1);
}

static void hold(struct ts_client *client, const struct ts_broker_request *req)
{
	struct ts_broker_server *server = client->host->server;

	client->held_data = malloc(req->data_len + 1);
	if (!client->held_data || !watch(client)) {
		ts_broker_refuse(client, req, ENOMEM);
		ts_broker_free_client(client);
		return;
	}
	if (req->data_len)
		memcpy(client->held_data, req->data, req->data_len);
	if (!client->is_trusted)
		server->stranger_count--; /* it was allowed to speak */
	client->is_held = true;
	client->req = *req;
	client->req.data = client->held_data;
	client->deadline_ms =
		ts_host_now_ms(client->host) + client->host->timeout_ms;
	ts_list_remove(&client->link);
	ts_list_insert(client->lookup ? &server->looking : &server->held,
		       &client->link);
	ts_broker_arm_timer(server);
}

static void give_up(struct ts_client *client)
{
	struct ts_broker_reply rep = {.type = client->req.type};

	rep.error = rep.type == TS_BROKER_BIND ? EADDRNOTAVAIL : ETIMEDOUT;
	ts_broker_reply_to(client, &rep, -1);
	ts_broker_free_client(client);
}

/* -- requests ------------------------------------------------------------- */

int ts_broker_take_fd(const struct ts_host *host, struct msghdr *msg)
{
	int kept = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (kept < 0)
				kept = ts_sock_keep(host, fd);
			else
				close(fd);
		}
	}
	return kept;
}

/* Length of the message, 0 at the end, -EAGAIN, or another errno. */
static ssize_t receive(const struct ts_client *client, uint8_t *in, size_t cap,
		       int *fd)
{
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = in, .iov_len = cap};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t len = recvmsg(client->fd, &msg,
			      MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (len < 0)
		return -errno;
	/* Cut off (MSG_CTRUNC) is what was too much, or had no fd left here:
	 * then a CONNECT is answered with ENOBUFS. */
	*fd = ts_broker_take_fd(client->host, &msg);
	return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : len;
}

/* false: nothing there yet. Otherwise the client was served, held or freed. */
static bool serve(struct ts_client *client)
{
	struct ts_broker_request req;
	uint8_t in[TS_BROKER_MESSAGE_MAX];
	int fd;
	ssize_t len;

	/* What it said before, it may now ask about. */
	ts_broker_take_told(client->host->server);
	len = receive(client, in, sizeof(in), &fd);
	if (len == -EAGAIN)
		return false;
	if (ts_broker_handle(client, in, len, fd, &req))
		ts_broker_free_client(client);
	else
		hold(client, &req);
	return true;
}

static bool is_trusted(const struct ucred *who)
{
	return who->uid == geteuid() || who->uid == 0;
}

void ts_broker_hear(struct ts_broker_server *server, const struct ucred *who,
		    const uint8_t *in, ssize_t len, int fd)
{
	struct ts_client teller = {.host = server->host, .fd = -1,
				   .pid = who->pid,
				   .is_trusted = is_trusted(who)};
	struct ts_broker_request req;

	(void)ts_broker_handle(&teller, in, len, fd, &req);
}

static void on_client(void *ctx, unsigned events)
{
	struct ts_client *client = ctx;

	(void)events;
	ts_hurry_begin();
	/* One request is all: more, or the end, ends a held client. */
	if (client->is_held)
		ts_broker_free_client(client);
	else if (ts_broker_has_descriptors(client->host->server))
		(void)serve(client);
	else
		ts_broker_set_accepting(client->host->server, false);
	ts_hurry_end();
}

void ts_broker_set_reading(struct ts_broker_server *server, bool on)
{
	for (struct ts_link *at = server->reading.next; at != &server->reading;
	     at = at->next) {
		struct ts_client *client =
			TS_LINK_OWNER(at, struct ts_client, link);

		if (client->watch)
			ts_watch_set(client->watch, on ? TS_READABLE : 0);
	}
}

/* -- coming and going ----------------------------------------------------- */

/* The one that has said nothing for longest goes. (It may just have.) */
static void drop_silent(struct ts_broker_server *server, bool of_strangers)
{
	struct ts_link *at = server->reading.next;

	for (; at != &server->reading; at = at->next) {
		struct ts_client *client =
			TS_LINK_OWNER(at, struct ts_client, link);

		if (of_strangers && client->is_trusted)
			continue;
		if (!serve(client))
			ts_broker_free_client(client);
		return;
	}
}

bool ts_broker_has_room(struct ts_broker_server *server)
{
	if (server->stranger_count >= STRANGERS_MAX)
		drop_silent(server, true);
	if (server->client_count >= CLIENTS_MAX)
		drop_silent(server, false);
	return server->client_count < CLIENTS_MAX;
}

void ts_broker_add_client(struct ts_broker_server *server, int fd)
{
	struct ts_host *host = server->host;
	struct ts_client *client = calloc(1, sizeof(*client));
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (!client || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		free(client);
		ts_sock_close(fd);
		return;
	}
	client->host = host;
	client->fd = fd;
	client->pid = cred.pid;
	client->is_trusted = is_trusted(&cred);
	client->deadline_ms = ts_host_now_ms(host) + READ_LIMIT_MS;
	server->client_count++;
	if (!client->is_trusted)
		server->stranger_count++;
	ts_list_insert(&server->reading, &client->link);
	/* Mostly the request is there already. */
	if (serve(client))
		return;
	if (watch(client))
		ts_broker_arm_timer(server);
	else
		ts_broker_free_client(client);
}

static void on_timer(void *ctx)
{
	struct ts_broker_server *server = ctx;
	uint64_t now_ms = ts_host_now_ms(server->host);
	struct ts_client *client;

	ts_hurry_begin();
	while ((client = first_of(&server->reading)) &&
	       client->deadline_ms <= now_ms)
		ts_broker_free_client(client);
	ts_hurry_end();
	while ((client = first_of(&server->held)) &&
	       client->deadline_ms <= now_ms)
		give_up(client);
	if (server->resume_ms <= now_ms)
		ts_broker_set_accepting(server, true);
	ts_broker_arm_timer(server);
}

int ts_broker_open(struct ts_host *host, const struct ts_host_config *config,
		   char err[static 256])
{
	struct ts_broker_server *server = calloc(1, sizeof(*server));
	int status;

	snprintf(err, 256, "out of memory");
	if (!server)
		return -ENOMEM;
	host->server = server;
	server->host = host;
	server->path_fd = server->abstract_fd = server->told_fd = -1;
	server->resume_ms = UINT64_MAX;
	ts_list_init(&server->reading);
	ts_list_init(&server->held);
	ts_list_init(&server->looking);
	server->timer = ts_timer_new(host->loop, on_timer, server);
	if (!server->timer)
		return -ENOMEM;
	status = ts_broker_listen(server, config);
	if (status)
		snprintf(err, 256, "no socket for programs to ask at: %s",
			 ts_strerror(status));
	return status;
}

void ts_broker_close(struct ts_host *host)
{
	struct ts_broker_server *server = host->server;
	struct ts_client *client;

	if (!server)
		return;
	while ((client = first_of(&server->reading)))
		ts_broker_free_client(client);
	while ((client = first_of(&server->held)))
		give_up(client);
	while ((client = first_of(&server->looking)))
		give_up(client);
	ts_broker_unlisten(server);
	ts_timer_free(server->timer);
	free(server);
	host->server = NULL;
}

void ts_broker_retry_held(struct ts_host *host)
{
	struct ts_broker_server *server = host->server;
	struct ts_link *at, *next;

	for (at = server->held.next; at != &server->held; at = next) {
		struct ts_client *client =
			TS_LINK_OWNER(at, struct ts_client, link);

		next = at->next;
		if (ts_broker_answer(client, &client->req, -1)) {
			ts_broker_free_client(client);
		} else if (client->lookup) {
			ts_list_remove(&client->link);
			ts_list_insert(&server->looking, &client->link);
		}
	}
	ts_broker_arm_timer(server);
}
