/* SPDX-License-Identifier: BSD-3-Clause
 * dial_route.c - a connection to a tailnet address over the LocalAPI's own
 *
 * `tailscale nc` and, by it, ssh's ProxyCommand. Where the tailnet is not the
 * way the caller is told to dial itself: it is a local process, and the host's
 * network is as near to it as to us.
 * Source: ipn/localapi/localapi.go (serveDial)
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/dns/dns_records.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/node/node_dns.h"

static const char *header(const struct localapi_call *call, const char *name)
{
	const struct ts_localapi_request *rq = call->request;
	const char *value = rq->header ? rq->header(rq->query_ctx, name)
				       : NULL;

	return value ? value : "";
}

static void on_dialled(void *ctx, int err, int fd)
{
	struct localapi_call *call = ctx;
	struct ts_localapi_reply reply = {.status = 101, .has_fd = true,
					  .fd = fd};
	char text[96];

	if (err) {
		snprintf(text, sizeof(text), "dial failure: %s",
			 ts_strerror(err));
		localapi_reply_error(call, 502, text);
	} else {
		call->done(call->ctx, &reply);
	}
	free(call);
}

static void dial(const struct localapi_call *call, const struct ts_addr *to)
{
	const struct ts_localapi *api = call->api;
	struct localapi_call *kept = malloc(sizeof(*kept));

	if (!kept || !api->env.dial) {
		free(kept);
		localapi_reply_error(call, 502, "dial failure: not possible");
		return;
	}
	*kept = *call;
	kept->request = NULL;
	api->env.dial(api->env_ctx, to, on_dialled, kept);
}

static void reply_dial_self(const struct localapi_call *call,
			    const struct ts_addr *to)
{
	struct ts_localapi_reply reply = {.status = 200};

	ts_addr_format(to, reply.dial_self);
	call->done(call->ctx, &reply);
}

static void go(const struct localapi_call *call, const struct ts_addr *to)
{
	if (ts_node_route(call->node, &to->ip, NULL) == TS_ROUTE_HOST)
		reply_dial_self(call, to);
	else
		dial(call, to);
}

/* -- names of others ------------------------------------------------------ */
/* By the tailnet's resolvers, where it is theirs; else by this machine's. */
struct pending_dial {
	struct localapi_call call;
	struct ts_addr to;
	char name[DNS_TEXT_CAP];
	uint16_t type; /* that is being asked for */
};

static void fail(struct pending_dial *p)
{
	localapi_reply_error(&p->call, 502, "resolve failure: there is no such "
					    "name");
	free(p);
}

static void succeed(struct pending_dial *p, const struct ts_ip *ip)
{
	p->to.ip = *ip;
	p->call.node = p->call.api->node; /* it may be another by now */
	go(&p->call, &p->to);
	free(p);
}

static void on_resolved(void *ctx, const struct ts_ip *ips, size_t count)
{
	if (count > 0)
		succeed(ctx, &ips[0]);
	else
		fail(ctx);
}

static int write_query(const struct pending_dial *p,
		       uint8_t msg[static DNS_PLAIN_QUERY_CAP])
{
	return ts_dns_write_query((uint16_t)ts_random_u32(), p->name, p->type,
				  msg, DNS_PLAIN_QUERY_CAP);
}

static void on_answer(void *ctx, const uint8_t *answer, size_t len);

static void ask_tailnet(struct pending_dial *p)
{
	uint8_t msg[DNS_PLAIN_QUERY_CAP];
	int len = write_query(p, msg);
	const struct ts_node_dns_host *host;
	void *ctx;

	host = ts_node_dns_host(p->call.api->node, &ctx);
	if (len < 0 || !host)
		fail(p);
	else
		host->ask(ctx, msg, (size_t)len, on_answer, p);
}

/* No answer is also what comes when the node ends. */
static void on_answer(void *ctx, const uint8_t *answer, size_t len)
{
	struct pending_dial *p = ctx;
	struct ts_ip ips[1];
	struct ts_dns_found found = {.ips = ips, .cap = ARRAY_LEN(ips)};

	if (answer)
		ts_dns_find_addresses(answer, len, p->name, p->type, &found);
	if (found.count > 0) {
		succeed(p, &ips[0]);
	} else if (answer && p->type == DNS_TYPE_A) {
		p->type = DNS_TYPE_AAAA;
		ask_tailnet(p);
	} else {
		fail(p);
	}
}

static bool is_the_tailnets(const struct pending_dial *p)
{
	uint8_t msg[DNS_PLAIN_QUERY_CAP];
	int len = write_query(p, msg);

	return len > DNS_HEADER_LEN &&
	       ts_dns_routes_find(ts_node_dns_routes(p->call.node),
				  msg + DNS_HEADER_LEN,
				  (size_t)len - DNS_HEADER_LEN);
}

/* As names in answers are: lower case, without the dot at the end. */
static void write_plain(char *out, const char *name)
{
	size_t len = strlen(name);

	if (len > 0 && name[len - 1] == '.')
		len--;
	for (size_t i = 0; i < len; i++)
		out[i] = (char)tolower((unsigned char)name[i]);
	out[len] = '\0';
}

static void look_up(const struct localapi_call *call, const char *name,
		    uint16_t port)
{
	const struct ts_localapi_env *env = &call->api->env;
	struct pending_dial *p = calloc(1, sizeof(*p));

	if (!p || strlen(name) >= sizeof(p->name)) {
		free(p);
		localapi_reply_error(call, 502, "resolve failure: no name");
		return;
	}
	p->call = *call;
	p->call.request = NULL;
	p->to.port = port;
	p->type = DNS_TYPE_A;
	write_plain(p->name, name);
	if (is_the_tailnets(p))
		ask_tailnet(p);
	else if (env->resolve)
		env->resolve(call->api->env_ctx, p->name, on_resolved, p);
	else
		fail(p);
}

/* -- the request ---------------------------------------------------------- */
static void resolve(const struct localapi_call *call, const char *host,
		    uint16_t port)
{
	struct ts_addr to = {.port = port};
	struct ts_dns_result found;
	enum ts_dns_answer answer;

	if (ts_ip_parse(host, &to.ip) == 0) {
		go(call, &to);
		return;
	}
	answer = ts_node_lookup(call->node, host, true, true, &found);
	if (answer == TS_DNS_FOUND && found.count > 0) {
		to.ip = found.addrs[0];
		go(call, &to);
	} else if (answer == TS_DNS_NOT_OURS) {
		look_up(call, host, port);
	} else {
		localapi_reply_error(call, 502, "resolve failure: the tailnet "
						"has no such name");
	}
}

/* tcp, tcp4 and tcp6: the address decides the family anyway. */
static bool is_tcp(const char *network)
{
	return !*network || strcmp(network, "tcp") == 0 ||
	       strcmp(network, "tcp4") == 0 || strcmp(network, "tcp6") == 0;
}

void localapi_dial(const struct localapi_call *call)
{
	const char *host = header(call, "Dial-Host");
	const char *port_text = header(call, "Dial-Port");
	int64_t port;

	if (!strcasestr(header(call, "Connection"), "upgrade") ||
	    strcmp(header(call, "Upgrade"), "ts-dial") != 0) {
		localapi_reply_error(call, 400, "bad ts-dial upgrade");
		return;
	}
	if (!*host || !*port_text) {
		localapi_reply_error(call, 400,
				     "missing Dial-Host or Dial-Port header");
		return;
	}
	if (ts_int_parse(port_text, &port) || port < 1 || port > UINT16_MAX ||
	    !is_tcp(header(call, "Dial-Network"))) {
		localapi_reply_error(call, 400, "cannot dial that");
		return;
	}
	resolve(call, host, (uint16_t)port);
}
