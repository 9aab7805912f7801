/* SPDX-License-Identifier: BSD-3-Clause
 * test_dial_names.c - whom `dial` asks for a name, and where it leads
 */
#include "unit/localapi/api_bench.h"

#include "core/dns/dns_wire.h"
#include "core/node/node_dns.h"

/* Who was asked, and who answers when the test says so. */
static struct asked {
	char system[64];
	ts_localapi_resolved_fn resolved;
	void *resolved_ctx;
	uint8_t query[DNS_PLAIN_QUERY_CAP];
	size_t query_len;
	unsigned queries;
	ts_node_dns_fn answer;
	void *answer_ctx;
	char dialled[TS_ADDR_TEXT_CAP];
} asked;

static void ask_dns(void *ctx, const uint8_t *query, size_t len,
		    ts_node_dns_fn fn, void *fn_ctx)
{
	(void)ctx;
	memcpy(asked.query, query, len);
	asked.query_len = len;
	asked.queries++;
	asked.answer = fn;
	asked.answer_ctx = fn_ctx;
}

static void cancel(void *ctx, const void *fn_ctx)
{
	(void)ctx, (void)fn_ctx;
}

static void read_system(void *ctx, struct ts_dns_system *out)
{
	(void)ctx;
	memset(out, 0, sizeof(*out));
}

static const struct ts_node_dns_host dns_host = {ask_dns, cancel, read_system};

static void resolve(void *ctx, const char *name, ts_localapi_resolved_fn done,
		    void *done_ctx)
{
	(void)ctx;
	snprintf(asked.system, sizeof(asked.system), "%s", name);
	asked.resolved = done;
	asked.resolved_ctx = done_ctx;
}

static void dial(void *ctx, const struct ts_addr *to,
		 ts_localapi_dialled_fn done, void *done_ctx)
{
	(void)ctx;
	ts_addr_format(to, asked.dialled);
	done(done_ctx, -ECONNREFUSED, -1);
}

static const struct ts_localapi_env env = {.dial = dial, .resolve = resolve};

static const char *no_query(void *ctx, const char *name)
{
	(void)ctx, (void)name;
	return NULL;
}

static const char *header(void *ctx, const char *name)
{
	if (strcmp(name, "Dial-Host") == 0)
		return ctx;
	if (strcmp(name, "Dial-Port") == 0)
		return "80";
	if (strcmp(name, "Connection") == 0)
		return "upgrade";
	return strcmp(name, "Upgrade") == 0 ? "ts-dial" : NULL;
}

struct result {
	unsigned calls;
	int status;
	char self[TS_ADDR_TEXT_CAP], text[128];
};

static void on_reply(void *ctx, const struct ts_localapi_reply *reply)
{
	struct result *r = ctx;

	r->calls++;
	r->status = reply->status;
	snprintf(r->self, sizeof(r->self), "%s", reply->dial_self);
	snprintf(r->text, sizeof(r->text), "%s",
		 reply->body ? reply->body : "");
	free(reply->body);
}

static void call(struct bench *b, const char *host, struct result *r)
{
	struct ts_localapi_request rq = {
		.method = "POST", .path = API "dial", .query = no_query,
		.header = header, .query_ctx = (void *)(uintptr_t)host};

	memset(r, 0, sizeof(*r));
	memset(&asked, 0, sizeof(asked));
	ts_localapi_handle(b->api, &rq, b->sim->now_ms, b->sim->wall_s,
			   on_reply, r);
}

/* The query back, with one A record, or none. */
static void answer(const uint8_t ip[4])
{
	uint8_t msg[DNS_PLAIN_QUERY_CAP + 16];
	static const uint8_t record[] = {0xc0, DNS_HEADER_LEN, 0, 1, 0, 1,
					 0, 0, 0, 60, 0, 4};
	size_t len = asked.query_len;

	memcpy(msg, asked.query, len);
	msg[2] |= 0x80;
	msg[10] = msg[11] = 0;
	if (ip) {
		msg[7] = 1;
		memcpy(msg + len, record, sizeof(record));
		memcpy(msg + len + sizeof(record), ip, 4);
		len += sizeof(record) + 4;
	}
	asked.answer(asked.answer_ctx, msg, len);
}

static void open_bench(struct bench *b)
{
	bench_open(b, sim_up(2, NULL), &env, NULL);
	ts_node_set_dns_host(b->sim->nodes[0].node, &dns_host, NULL);
	sim_map_text(&b->sim->nodes[0],
		     "{\"DNSConfig\":{\"Proxied\":true,\"Routes\":{"
		     "\"corp.test\":[{\"Addr\":\"9.9.9.9\"}]}}}");
}

static void this_machine_knows_names_that_are_nobodys(void **state)
{
	struct ts_ip ip;
	struct bench b;
	struct result r;

	(void)state;
	open_bench(&b);
	call(&b, "www.example.com", &r);
	assert_int_equal(r.calls, 0);
	assert_string_equal(asked.system, "www.example.com");
	assert_int_equal(asked.queries, 0);
	assert_int_equal(ts_ip_parse("192.0.2.1", &ip), 0);
	asked.resolved(asked.resolved_ctx, &ip, 1);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.self, "192.0.2.1:80");
	/* A peer's address, by a name of others. */
	call(&b, "www.example.com", &r);
	ip = sim_ip(1);
	asked.resolved(asked.resolved_ctx, &ip, 1);
	assert_int_equal(r.status, 502);
	assert_string_equal(asked.dialled, "100.64.0.2:80");
	call(&b, "www.example.com", &r);
	asked.resolved(asked.resolved_ctx, NULL, 0);
	assert_int_equal(r.status, 502);
	assert_non_null(strstr(r.text, "resolve failure"));
	bench_close(&b);
}

static void the_tailnets_resolvers_know_theirs(void **state)
{
	static const uint8_t peer[] = {100, 64, 0, 2};
	struct bench b;
	struct result r;

	(void)state;
	open_bench(&b);
	call(&b, "DB.corp.test.", &r);
	assert_int_equal(asked.queries, 1);
	assert_string_equal(asked.system, "");
	answer(peer);
	assert_string_equal(asked.dialled, "100.64.0.2:80");
	assert_int_equal(r.calls, 1);
	/* None of one family, nor of the other. */
	call(&b, "db.corp.test", &r);
	answer(NULL);
	assert_int_equal(asked.queries, 2);
	assert_int_equal(r.calls, 0);
	answer(NULL);
	assert_int_equal(r.status, 502);
	/* The node ends. */
	call(&b, "db.corp.test", &r);
	asked.answer(asked.answer_ctx, NULL, 0);
	assert_int_equal(asked.queries, 1);
	assert_int_equal(r.status, 502);
	bench_close(&b);
}

static void no_names_are_said(void **state)
{
	char longest[600];
	struct bench b;
	struct result r;

	(void)state;
	open_bench(&b);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	call(&b, longest, &r);
	assert_int_equal(r.status, 502);
	assert_string_equal(asked.system, "");
	assert_int_equal(r.calls, 1);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_machine_knows_names_that_are_nobodys),
		cmocka_unit_test(the_tailnets_resolvers_know_theirs),
		cmocka_unit_test(no_names_are_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
