/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_resolve.c - the name that a proxy's client wants, as an address
 *
 * A number is itself; names of the tailnet, short ones too, come from the
 * netmap, for which it waits; all others from the system's name servers
 * by way of the DNS service, A before AAAA. The first address is taken.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/crypto/secret.h"
#include "core/dns/dns_wire.h"
#include "core/host/ascii_name.h"
#include "core/host/dns_service.h"
#include "core/host/node_choice.h"
#include "core/host/proxy_internal.h"

enum { RETRY_MS = 100, QUESTION_CAP = DNS_HEADER_LEN + DNS_NAME_MAX + 4 };

/* -- by the name servers -------------------------------------------------- */

static int write_question(const char *name, uint16_t type,
			  uint8_t out[static QUESTION_CAP])
{
	struct ts_writer w = ts_writer_init(out, QUESTION_CAP);

	ts_write_be16(&w, (uint16_t)ts_random_u32());
	ts_write_be16(&w, DNS_FLAG_RECURSION_DESIRED);
	ts_write_be16(&w, 1); /* questions */
	ts_write_zeros(&w, 6);
	while (*name) {
		size_t len = strcspn(name, ".");

		if (len == 0 || len > DNS_LABEL_MAX)
			return -EBADMSG;
		ts_write_u8(&w, (uint8_t)len);
		ts_write_bytes(&w, name, len);
		name += len + (name[len] == '.');
	}
	ts_write_u8(&w, 0);
	ts_write_be16(&w, type);
	ts_write_be16(&w, DNS_CLASS_IN);
	return w.bad ? -EBADMSG : (int)w.len;
}

static bool skip_name(const uint8_t *msg, size_t len, struct ts_reader *r)
{
	char text[DNS_TEXT_CAP];
	size_t at = len - r->left, start = at;
	bool is_odd;

	if (r->bad || ts_dns_read_name(msg, len, &at, text, &is_odd))
		return false;
	ts_read_skip(r, at - start);
	return true;
}

/* The first address of that type; CNAMEs before it are passed over. */
static bool find_address(const uint8_t *msg, size_t len, uint16_t type,
			 struct ts_ip *out)
{
	struct ts_reader r = ts_reader_init(msg, len);
	uint16_t questions, answers;

	ts_read_skip(&r, 4);
	questions = ts_read_be16(&r);
	answers = ts_read_be16(&r);
	ts_read_skip(&r, 4);
	for (; questions > 0; questions--) {
		if (!skip_name(msg, len, &r))
			return false;
		ts_read_skip(&r, 4);
	}
	for (; answers > 0; answers--) {
		struct ts_reader data;
		uint16_t got;

		if (!skip_name(msg, len, &r))
			return false;
		got = ts_read_be16(&r);
		ts_read_skip(&r, 6); /* class, TTL */
		data = ts_read_block(&r, ts_read_be16(&r));
		if (r.bad)
			return false;
		if (got != type)
			continue;
		if (type == DNS_TYPE_A && data.left == 4) {
			*out = ts_ip_from_v4(data.at);
			return true;
		}
		if (type == DNS_TYPE_AAAA && data.left == TS_IP_LEN) {
			memcpy(out->bytes, data.at, TS_IP_LEN);
			return true;
		}
	}
	return false;
}

static void on_answer(void *ctx, const uint8_t *answer, size_t len);

static void tell(struct proxy_lookup *l, int err, const struct ts_ip *ip)
{
	ts_proxy_resolve_cancel(l);
	l->done(l->ctx, err, ip);
}

static void ask(struct proxy_lookup *l)
{
	uint8_t query[QUESTION_CAP];
	int len = write_question(l->name,
				 l->asked_v6 ? DNS_TYPE_AAAA : DNS_TYPE_A,
				 query);

	if (len < 0) {
		tell(l, -ENOENT, NULL);
		return;
	}
	l->is_asking = true;
	ts_dns_service_ask_all(
		l->host, ts_choose_named(l->host, ts_proxy_node(l->member)),
		query, (size_t)len, on_answer, l);
}

static void on_answer(void *ctx, const uint8_t *answer, size_t len)
{
	struct proxy_lookup *l = ctx;
	struct ts_ip ip;

	l->is_asking = false;
	if (answer && find_address(answer, len,
				   l->asked_v6 ? DNS_TYPE_AAAA : DNS_TYPE_A,
				   &ip)) {
		tell(l, 0, &ip);
	} else if (!l->asked_v6) {
		l->asked_v6 = true;
		ask(l);
	} else {
		tell(l, -ENOENT, NULL);
	}
}

/* -- by the node ---------------------------------------------------------- */

static void ask_node(void *ctx)
{
	struct proxy_lookup *l = ctx;
	struct ts_host *host = l->host;
	struct ts_broker_request req = {.type = TS_BROKER_RESOLVE,
					.flags = TS_BROKER_WANT_V4 |
						 TS_BROKER_WANT_V6,
					.node = ts_proxy_node(l->member)};
	struct ts_broker_reply rep = {.type = req.type};

	strcpy(req.name, l->name);
	ts_make_ascii_name(req.name, sizeof(req.name));
	if (!ts_names_answer(host, &req, &rep))
		ts_timer_set(l->retry, ts_host_now_ms(host) + RETRY_MS);
	else if (rep.error || rep.answer == TS_ANSWER_NXDOMAIN ||
		 (rep.answer == TS_ANSWER_FOUND && rep.addr_count == 0))
		tell(l, -ENOENT, NULL);
	else if (rep.answer == TS_ANSWER_FOUND)
		tell(l, 0, &rep.addrs[0]);
	else
		ask(l);
}

_Static_assert((int)PROXY_HOST_CAP <= (int)TS_BROKER_NAME_CAP,
	       "a name fits into a request");

void ts_proxy_resolve(struct proxy_lookup *l)
{
	const char *name = l->name;
	struct ts_ip ip = ts_sock_loopback(false);

	if (ts_ip_parse(name, &ip) == 0 || strcasecmp(name, "localhost") == 0) {
		tell(l, 0, &ip);
		return;
	}
	l->asked_v6 = false;
	l->retry = ts_timer_new(l->host->loop, ask_node, l);
	if (l->retry)
		ask_node(l);
	else
		tell(l, -ENOMEM, NULL);
}

void ts_proxy_resolve_cancel(struct proxy_lookup *l)
{
	if (l->is_asking)
		ts_dns_service_cancel(l->host, l);
	ts_timer_free(l->retry);
	l->is_asking = false;
	l->retry = NULL;
}
