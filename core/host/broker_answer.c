/* SPDX-License-Identifier: BSD-3-Clause
 * broker_answer.c - a program's request, to whom it concerns
 *
 * The abstract name can be reached by every uid of the network namespace, so
 * who may speak is decided per request (see broker_wire.h): whoever has our uid
 * or root's, whoever has read a token from the table, and what we have started.
 *
 * A host that is ending answers what concerns what there is, and leaves what is
 * to last longer to the next one: ESTALE makes a program look for that.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/ascii_name.h"
#include "core/host/broker_server.h"
#include "core/host/name_lookup.h"
#include "core/host/node_choice.h"
#include "core/host/notify.h"

enum { ANCESTORS_MAX = 64 }; /* a longer line of parents is not followed */

/* -- who may speak -------------------------------------------------------- */

/* The parent of pid, or 0. */
static pid_t parent_of(pid_t pid)
{
	char path[32], text[512];
	const char *at;
	ssize_t len;
	int parent = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	/* The name in front may hold anything, but no later ')'. */
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

static bool is_descendant(pid_t pid)
{
	for (int i = 0; i < ANCESTORS_MAX && pid > 0; i++) {
		if (pid == getpid())
			return true;
		pid = parent_of(pid);
	}
	return false;
}

static bool may_speak(const struct ts_client *client,
		      const struct ts_broker_request *req)
{
	return client->is_trusted ||
	       ts_view_of_token(client->host, req->token) >= 0 ||
	       is_descendant(client->pid);
}

/* The table, and what is to last longer than we do. */
static bool is_for_the_next(const struct ts_client *client,
			    const struct ts_broker_request *req)
{
	if (!client->host->is_ending || client->pid == getpid())
		return false;
	switch ((enum ts_broker_type)req->type) {
	case TS_BROKER_ATTACH:
	case TS_BROKER_CONNECT:
	case TS_BROKER_SEND:
	case TS_BROKER_BIND:
	case TS_BROKER_BOUND:
	case TS_BROKER_LISTEN:
		return true;
	default:
		return false;
	}
}

/* Attached to a host that was here before us: its table says nothing of us. */
static bool is_stale(const struct ts_client *client,
		     const struct ts_broker_request *req)
{
	static const uint8_t none[TS_TABLE_TOKEN_LEN];

	return req->type != TS_BROKER_ATTACH &&
	       memcmp(req->token, none, sizeof(none)) != 0 &&
	       ts_view_of_token(client->host, req->token) < 0;
}

/* -- answers -------------------------------------------------------------- */

static void on_looked_up(void *ctx, const struct ts_broker_reply *rep)
{
	struct ts_client *client = ctx;

	client->lookup = NULL; /* it ends itself */
	ts_broker_reply_to(client, rep, -1);
	ts_broker_free_client(client);
}

/* false: hold the request. What the netmap does not have, others may. */
static bool answer_name(struct ts_client *client,
			const struct ts_broker_request *req,
			struct ts_broker_reply *rep)
{
	if (!ts_names_answer(client->host, req, rep))
		return false;
	if (rep->error || rep->answer != TS_ANSWER_NOT_OURS)
		return true;
	client->lookup = ts_name_lookup_start(client->host, req, on_looked_up,
					      client);
	return !client->lookup;
}

/* NULL: of no such node. */
static struct ts_table *table_for(struct ts_host *host,
				  const struct ts_broker_request *req)
{
	struct ts_member *member;

	if (!*req->name)
		return host->table;
	member = ts_member_named(host, req->name);
	return member ? ts_view_open(member) : NULL;
}

/* What only we can say of a request: whose view it comes from. */
static void complete(struct ts_host *host, struct ts_broker_request *req,
		     int fd)
{
	int view = ts_view_of_token(host, req->token);

	if (host->member_count == 1)
		return;
	req->node = view > 0 ? (uint8_t)view : 0;
	req->interface = ts_choice_interface(fd);
}

bool ts_broker_answer(struct ts_client *client,
		      const struct ts_broker_request *req, int fd)
{
	struct ts_host *host = client->host;
	struct ts_broker_reply rep = {.type = req->type};
	const struct ts_table *table = NULL;
	bool is_done = true;

	switch ((enum ts_broker_type)req->type) {
	case TS_BROKER_ATTACH:
		table = table_for(host, req);
		rep.error = table ? 0 : ENODEV;
		break;
	case TS_BROKER_CONNECT:
		if (req->proto == IPPROTO_TCP)
			ts_conn_request(host, req, fd, client->pid, &rep);
		else
			ts_dgram_connect(host, req, fd, client->pid, &rep);
		fd = -1;
		break;
	case TS_BROKER_SEND:
		ts_dgram_send(host, req, fd, client->pid, &rep);
		fd = -1;
		break;
	case TS_BROKER_BIND:
		is_done = ts_listener_bind(host, req, &rep);
		break;
	case TS_BROKER_BOUND:
		ts_listener_bound(host, req, &rep);
		break;
	case TS_BROKER_LISTEN:
		ts_listener_listen(host, req, fd, &rep);
		fd = -1;
		break;
	case TS_BROKER_ACCEPTED:
		ts_inbound_accepted(host, req, fd, client->pid, &rep);
		break;
	case TS_BROKER_OPTIONS:
		ts_tunnel_options(host, req, fd, &rep);
		break;
	case TS_BROKER_INFO:
		ts_tunnel_info(host, req, &rep);
		break;
	case TS_BROKER_RESOLVE:
	case TS_BROKER_REVERSE:
	case TS_BROKER_DNS:
		is_done = answer_name(client, req, &rep);
		break;
	case TS_BROKER_NOTIFY:
		ts_notify_request(host, fd, client->pid, &rep);
		fd = -1;
		break;
	case TS_BROKER_DRAIN:
		is_done = ts_drain_answer(host, req, client->pid, &rep);
		break;
	default:
		rep.error = EOPNOTSUPP;
		break;
	}
	ts_sock_close(fd);
	if (is_done && !ts_broker_is_unanswered(req))
		ts_broker_reply_to(client, &rep,
				   table ? ts_table_fd(table) : -1);
	return is_done;
}

/* -- requests ------------------------------------------------------------- */

static void complain(const struct ts_client *client, int err)
{
	struct ts_broker_server *server = client->host->server;

	if (ts_log_allowed(&server->limit, ts_host_now_ms(client->host)))
		log_warn("broker: request of pid %d: %s", (int)client->pid,
			 ts_strerror(err));
}

/* Takes fd. */
static void turn_away(const struct ts_client *client,
		      const struct ts_broker_request *req, int fd, int error)
{
	if (req->type == TS_BROKER_CONNECT && ts_broker_is_unanswered(req)) {
		ts_conn_turn_away(client->host, req, fd, client->pid);
		return;
	}
	ts_sock_close(fd);
	if (!ts_broker_is_unanswered(req))
		ts_broker_refuse(client, req, error);
}

bool ts_broker_handle(struct ts_client *client, const uint8_t *in, ssize_t len,
		      int fd, struct ts_broker_request *req)
{
	int err = len < 0 ? (int)len : 0;

	if (!err && len > 0)
		err = ts_broker_read_request(in, (size_t)len, req);
	if (!err && len > 0 && req->type == TS_BROKER_RESOLVE)
		ts_make_ascii_name(req->name, sizeof(req->name));
	if (!err && client->fd < 0 && !ts_broker_is_unanswered(req))
		err = -EPROTO;
	if (err || len == 0) {
		if (err)
			complain(client, err);
		ts_sock_close(fd);
	} else if (!may_speak(client, req)) {
		complain(client, -EACCES);
		turn_away(client, req, fd, EACCES);
	} else if (is_stale(client, req) || is_for_the_next(client, req)) {
		turn_away(client, req, fd, ESTALE);
	} else if ((err = ts_request_prove(client->host, req, fd))) {
		turn_away(client, req, fd, -err);
	} else {
		complete(client->host, req, fd);
		return ts_broker_answer(client, req, fd);
	}
	return true;
}
