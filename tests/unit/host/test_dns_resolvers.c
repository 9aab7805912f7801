/* SPDX-License-Identifier: BSD-3-Clause
 * test_dns_resolvers.c - names that the tailnet routes to resolvers
 *
 * The test plays the resolvers, at 127.0.0.3 and 127.0.0.4, and the engine's
 * HTTPS client. Programs ask by the broker.
 */
#include "far_end.h"

#include "core/base/byte_queue.h"
#include "core/dns/dns_cache.h"
#include "core/host/dns_service.h"
#include "unit/dns/dns_messages.h"

enum { SERVERS = 2, QUERY_CAP = 512 };

static const uint8_t ip1[] = {192, 0, 2, 1};
static const uint8_t ip6[16] = {0x20, 1, 0xd, 0xb8, [15] = 9};

struct bench {
	struct fixture f;
	int udp[SERVERS];
	struct ts_dns_routes *fresh; /* to be put in place on the loop */
};

static struct message m;

/* -- life ----------------------------------------------------------------- */

static struct ts_dns_routes *make_routes(const char *json)
{
	struct ts_dns_config config = {.raw = json_loads(json, 0, NULL)};
	const struct ts_dns_routes_input in = {.config = &config,
					       .accepts = true};
	struct ts_dns_routes *routes;

	assert_non_null(config.raw);
	routes = ts_dns_routes_new(&in);
	assert_non_null(routes);
	json_decref(config.raw);
	return routes;
}

static void put_routes(struct fixture *f, void *ctx)
{
	struct bench *b = ctx;

	ts_dns_routes_free(f->node.dns_routes);
	f->node.dns_routes = b->fresh;
	f->node.dns_round++;
	ts_host_netmap_changed(f->host);
}

static void do_nothing(struct fixture *f, void *ctx)
{
	(void)f;
	(void)ctx;
}

static void set_routes(struct bench *b, const char *json)
{
	b->fresh = make_routes(json);
	on_loop(&b->f, put_routes, b);
	for (int i = 0; i < 3; i++) /* turns: the change is taken in */
		on_loop(&b->f, do_nothing, NULL);
}

static void open_bench(struct bench *b, struct ts_host_config config,
		       const char *json)
{
	static const char *const at[] = {"127.0.0.3:53", "127.0.0.4:53"};

	config.timeout_s = 5;
	config.resolv_conf = "/dev/null";
	open_fixture_with(&b->f, config, TS_RUNNING);
	for (int i = 0; i < SERVERS; i++) {
		struct ts_addr addr = fake_addr(at[i]);

		b->udp[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind_to(b->udp[i], &addr), 0);
	}
	set_routes(b, json);
}

static void close_bench(struct bench *b)
{
	struct ts_dns_routes *routes = b->f.node.dns_routes;

	close_fixture(&b->f);
	ts_dns_routes_free(routes);
	for (int i = 0; i < SERVERS; i++)
		close(b->udp[i]);
}

/* -- the resolvers -------------------------------------------------------- */

struct heard {
	struct sockaddr_in from;
	uint8_t bytes[QUERY_CAP];
	size_t len;
	struct ts_dns_query q;
	int fd;
};

static struct heard hear(const struct bench *b, int server)
{
	struct heard h = {.fd = b->udp[server]};
	socklen_t from_len = sizeof(h.from);
	ssize_t len;

	assert_true(wait_for(h.fd, POLLIN));
	len = recvfrom(h.fd, h.bytes, sizeof(h.bytes), 0,
		       (struct sockaddr *)&h.from, &from_len);
	assert_true(len > 0);
	h.len = (size_t)len;
	assert_int_equal(ts_dns_read_query(h.bytes, h.len, &h.q), 0);
	return h;
}

static void reply(const struct heard *h)
{
	size_t len = end_answer(&m);

	assert_int_equal(sendto(h->fd, m.bytes, len, 0,
				(const struct sockaddr *)&h->from,
				sizeof(h->from)), len);
}

static bool is_silent(const struct bench *b, int server)
{
	struct pollfd p = {.fd = b->udp[server], .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

static void say_code(const struct heard *h, uint16_t rcode)
{
	begin_answer(&m, h->bytes, h->len, rcode);
	reply(h);
}

static void say_address(const struct heard *h, const char *owner)
{
	begin_answer(&m, h->bytes, h->len, 0);
	if (h->q.type == DNS_TYPE_A)
		put_record(&m, 0, owner, DNS_TYPE_A, 60, ip1, sizeof(ip1));
	else
		put_record(&m, 0, owner, DNS_TYPE_AAAA, 60, ip6, sizeof(ip6));
	reply(h);
}

/* -- the program ---------------------------------------------------------- */

static int begin_resolve(const struct bench *b, const char *name, uint8_t want)
{
	struct ts_broker_request req = {.type = TS_BROKER_RESOLVE,
					.flags = want};
	int fd = broker_connect(b->f.abstract_name);

	strcpy(req.name, name);
	send_request(fd, &req, -1);
	return fd;
}

static struct ts_broker_reply end_request(int fd)
{
	struct ts_broker_reply rep;

	assert_true(wait_for(fd, POLLIN));
	assert_true(receive_reply(fd, &rep, NULL) > 0);
	close(fd);
	return rep;
}

/* Asks, and gets the answer of the first server. */
static void look_up(const struct bench *b, const char *name)
{
	int fd = begin_resolve(b, name, TS_BROKER_WANT_V4);
	struct heard h = hear(b, 0);

	say_address(&h, name);
	assert_int_equal(end_request(fd).addr_count, 1);
}

#define CORP "{\"Routes\":{\"corp.example\":[{\"Addr\":\"127.0.0.3\"}]}}"

static void both_families_are_looked_up(void **state)
{
	struct ts_ip wanted = fake_ip("192.0.2.1");
	struct ts_broker_reply rep;
	struct bench b;
	struct heard one, two;
	int fd;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	fd = begin_resolve(&b, "DB.corp.example",
			   TS_BROKER_WANT_V4 | TS_BROKER_WANT_V6);
	one = hear(&b, 0);
	two = hear(&b, 0);
	assert_string_equal(one.q.name, "db.corp.example");
	assert_int_equal(one.q.type + two.q.type,
			 DNS_TYPE_A + DNS_TYPE_AAAA);
	assert_int_not_equal(one.from.sin_port, two.from.sin_port);
	say_address(&two, "db.corp.example");
	say_address(&one, "db.corp.example");
	rep = end_request(fd);
	assert_int_equal(rep.error, 0);
	assert_int_equal(rep.answer, TS_ANSWER_FOUND);
	assert_int_equal(rep.addr_count, 2);
	assert_true(ts_ip_equal(&rep.addrs[0], &wanted));
	assert_string_equal(rep.name, "db.corp.example");
	/* remembered, in any case of letters */
	rep = end_request(begin_resolve(&b, "db.CORP.example",
					TS_BROKER_WANT_V4));
	assert_int_equal(rep.addr_count, 1);
	assert_true(is_silent(&b, 0));
	close_bench(&b);
}

static void new_routes_forget_what_the_old_said(void **state)
{
	struct bench b;
	struct heard h;
	int fd;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	look_up(&b, "db.corp.example");
	set_routes(&b, "{\"Routes\":{\"corp.example\":"
		       "[{\"Addr\":\"127.0.0.4\"}]}}");
	fd = begin_resolve(&b, "db.corp.example", TS_BROKER_WANT_V4);
	h = hear(&b, 1);
	say_code(&h, DNS_NXDOMAIN);
	assert_int_equal(end_request(fd).answer, TS_ANSWER_NXDOMAIN);
	assert_true(is_silent(&b, 0));
	close_bench(&b);
}

static void what_is_not_routed_is_libcs(void **state)
{
	struct bench b;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	assert_int_equal(end_request(begin_resolve(&b, "example.com",
						   TS_BROKER_WANT_V4)).answer,
			 TS_ANSWER_NOT_OURS);
	assert_int_equal(end_request(begin_resolve(&b, "db",
						   TS_BROKER_WANT_V4)).answer,
			 TS_ANSWER_NOT_OURS);
	assert_true(is_silent(&b, 0));
	assert_true(b.f.info.routes_names == 0); /* as it was at the start */
	assert_true(ts_table_read_info(ts_host_table(b.f.host), &b.f.info));
	assert_true(b.f.info.routes_names);
	set_routes(&b, "{}");
	assert_true(ts_table_read_info(ts_host_table(b.f.host), &b.f.info));
	assert_false(b.f.info.routes_names);
	close_bench(&b);
}

static void failures_are_no_answers(void **state)
{
	struct ts_broker_reply rep;
	struct bench b;
	struct heard h;
	int fd;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	fd = begin_resolve(&b, "db.corp.example",
			   TS_BROKER_WANT_V4 | TS_BROKER_WANT_V6);
	for (int i = 0; i < 2; i++) {
		h = hear(&b, 0);
		say_code(&h, h.q.type == DNS_TYPE_A ? DNS_SERVFAIL
						    : DNS_NOERROR);
	}
	rep = end_request(fd);
	assert_int_equal(rep.error, EAGAIN);
	/* exists, in another family */
	fd = begin_resolve(&b, "six.corp.example", TS_BROKER_WANT_V4);
	h = hear(&b, 0);
	say_code(&h, DNS_NOERROR);
	rep = end_request(fd);
	assert_int_equal(rep.error, 0);
	assert_int_equal(rep.answer, TS_ANSWER_FOUND);
	assert_int_equal(rep.addr_count, 0);
	close_bench(&b);
}

/* Where the server has only the alias: its end is asked for, here in the
 * netmap. */
static void an_alias_may_lead_into_the_tailnet(void **state)
{
	struct ts_ip peer = fake_ip("100.64.0.2");
	struct ts_broker_reply rep;
	struct bench b;
	struct heard h;
	int fd;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	fd = begin_resolve(&b, "web.corp.example", TS_BROKER_WANT_V4);
	h = hear(&b, 0);
	begin_answer(&m, h.bytes, h.len, 0);
	put_alias(&m, "web.corp.example", "peer.ts.net");
	reply(&h);
	rep = end_request(fd);
	assert_int_equal(rep.addr_count, 1);
	assert_true(ts_ip_equal(&rep.addrs[0], &peer));
	assert_string_equal(rep.name, "peer.ts.net");
	close_bench(&b);
}

/* A chain over several answers ends, too. */
static void endless_aliases_end(void **state)
{
	struct bench b;
	struct heard h;
	char next[64];
	int fd, asked = 0;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	fd = begin_resolve(&b, "0.corp.example", TS_BROKER_WANT_V4);
	for (;;) {
		struct pollfd p[] = {{.fd = fd, .events = POLLIN},
				     {.fd = b.udp[0], .events = POLLIN}};

		assert_true(poll(p, 2, WAIT_MS) > 0);
		if (p[0].revents)
			break;
		h = hear(&b, 0);
		snprintf(next, sizeof(next), "%d.corp.example", ++asked);
		begin_answer(&m, h.bytes, h.len, 0);
		put_alias(&m, h.q.name, next);
		reply(&h);
	}
	assert_int_equal(end_request(fd).addr_count, 0);
	assert_true(asked < 20);
	close_bench(&b);
}

static void set_search(struct fixture *f, void *ctx)
{
	f->node.search_domain = ctx;
}

static void single_labels_are_searched_for(void **state)
{
	static char domain[] = "corp.example";
	struct bench b;
	struct heard h;
	int fd;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	on_loop(&b.f, set_search, domain);
	fd = begin_resolve(&b, "db", TS_BROKER_WANT_V4);
	h = hear(&b, 0);
	assert_string_equal(h.q.name, "db.corp.example");
	say_address(&h, "db.corp.example");
	assert_int_equal(end_request(fd).addr_count, 1);
	fd = begin_resolve(&b, "nobody", TS_BROKER_WANT_V4);
	h = hear(&b, 0);
	say_code(&h, DNS_NXDOMAIN);
	/* the program's own search list may know it */
	assert_int_equal(end_request(fd).answer, TS_ANSWER_NOT_OURS);
	close_bench(&b);
}

/* A query of a program with a resolver of its own. */
struct bare {
	const char *name;
	size_t answers, len;
	uint8_t answer[DNS_UDP_MAX];
};

static void keep_answer(void *ctx, const uint8_t *answer, size_t len)
{
	struct bare *bare = ctx;

	bare->answers++;
	bare->len = len;
	if (len > 0)
		memcpy(bare->answer, answer, len);
}

static void ask_bare(struct fixture *f, void *ctx)
{
	const struct bare *bare = ctx;
	uint8_t query[QUERY_CAP];
	int len = ts_dns_write_query(7, bare->name, DNS_TYPE_A, query,
				     sizeof(query));

	ts_dns_service_ask(f->host, NULL, query, (size_t)len,
			   keep_answer, ctx);
}

static void leave_bare(struct fixture *f, void *ctx)
{
	ts_dns_service_cancel(f->host, ctx);
}

static void wait_for_answer(struct bench *b, const struct bare *bare)
{
	for (int i = 0; i < 1000 && bare->answers == 0; i++) {
		on_loop(&b->f, do_nothing, NULL);
		usleep(1000);
	}
	assert_int_equal(bare->answers, 1);
}

static void bare_queries_are_searched_for(void **state)
{
	static char domain[] = "corp.example";
	struct bare found = {.name = "db"}, failed = {.name = "sick"};
	struct bare left = {.name = "left"}, late = {.name = "late"};
	struct bench b;
	struct heard h;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	on_loop(&b.f, set_search, domain);
	on_loop(&b.f, ask_bare, &found);
	h = hear(&b, 0);
	assert_string_equal(h.q.name, "db.corp.example");
	say_address(&h, "db.corp.example");
	wait_for_answer(&b, &found);
	assert_int_equal(found.answer[1], 7); /* the ID */
	assert_int_equal(found.answer[3] & DNS_RCODE_MASK, DNS_NOERROR);
	assert_int_equal(found.answer[7], 1);
	assert_memory_equal(found.answer + DNS_HEADER_LEN, "\2db\0", 4);
	assert_memory_equal(found.answer + found.len - 4, ip1, sizeof(ip1));
	on_loop(&b.f, ask_bare, &failed);
	h = hear(&b, 0);
	say_code(&h, DNS_SERVFAIL);
	wait_for_answer(&b, &failed);
	assert_int_equal(failed.answer[3] & DNS_RCODE_MASK, DNS_SERVFAIL);
	/* Twice by one who leaves, and one that the end finds waiting. */
	on_loop(&b.f, ask_bare, &left);
	on_loop(&b.f, ask_bare, &left);
	on_loop(&b.f, leave_bare, &left);
	for (int i = 0; i < 3; i++)
		on_loop(&b.f, do_nothing, NULL);
	assert_int_equal(left.answers, 0);
	on_loop(&b.f, ask_bare, &late);
	do
		h = hear(&b, 0);
	while (strcmp(h.q.name, "late.corp.example") != 0);
	close_bench(&b);
	assert_int_equal(late.answers, 1);
	assert_int_equal(late.len, 0);
}

static void names_of_addresses(void **state)
{
	struct ts_broker_request req = {.type = TS_BROKER_REVERSE};
	static const uint8_t name[] = "\2db\4corp\7example";
	struct ts_broker_reply rep;
	struct bench b;
	struct heard h;

	(void)state;
	open_bench(&b, (struct ts_host_config){0},
		   "{\"Routes\":{\"9.10.in-addr.arpa\":"
		   "[{\"Addr\":\"127.0.0.3\"}]}}");
	for (int round = 0; round < 2; round++) {
		int fd = broker_connect(b.f.abstract_name);

		req.tailnet.ip = fake_ip(round ? "10.9.0.6" : "10.9.0.5");
		send_request(fd, &req, -1);
		h = hear(&b, 0);
		assert_string_equal(h.q.name,
				    round ? "6.0.9.10.in-addr.arpa"
					  : "5.0.9.10.in-addr.arpa");
		begin_answer(&m, h.bytes, h.len, round ? DNS_NXDOMAIN : 0);
		if (!round)
			put_record(&m, 0, h.q.name, DNS_TYPE_PTR, 60, name,
				   sizeof(name));
		reply(&h);
		rep = end_request(fd);
		assert_int_equal(rep.answer, TS_ANSWER_FOUND);
		assert_string_equal(rep.name, round ? "" : "db.corp.example");
	}
	close_bench(&b);
}

/* All at once; who cannot is not waited for, who answers first wins. */
static void resolvers_race(void **state)
{
	struct bench b;
	struct heard one, two;
	int fd;

	(void)state;
	open_bench(&b, (struct ts_host_config){0},
		   "{\"Routes\":{\"corp.example\":["
		   "{\"Addr\":\"127.0.0.3\"},{\"Addr\":\"127.0.0.4\"}]}}");
	fd = begin_resolve(&b, "db.corp.example", TS_BROKER_WANT_V4);
	one = hear(&b, 0);
	two = hear(&b, 1);
	say_code(&one, DNS_REFUSED);
	say_address(&two, "db.corp.example");
	assert_int_equal(end_request(fd).addr_count, 1);
	look_up(&b, "other.corp.example"); /* the other is silent */
	close_bench(&b);
}

/* A program that goes away, and a host that ends, in the middle of it. */
static void look_ups_may_be_left(void **state)
{
	struct bench b;
	struct heard h;
	int fd;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	fd = begin_resolve(&b, "db.corp.example", TS_BROKER_WANT_V4);
	h = hear(&b, 0);
	close(fd);
	on_loop(&b.f, do_nothing, NULL);
	say_address(&h, "db.corp.example");
	fd = begin_resolve(&b, "more.corp.example", TS_BROKER_WANT_V4);
	h = hear(&b, 0);
	close_bench(&b);
	close(fd);
}

/* -- too much of it ------------------------------------------------------- */

enum { FLOOD = 3000 };

struct flood {
	size_t answered;
	uint8_t rcode;
};

static void count_answer(void *ctx, const uint8_t *answer, size_t len)
{
	struct flood *flood = ctx;

	assert_true(len >= DNS_HEADER_LEN);
	flood->answered++;
	flood->rcode = answer[3] & DNS_RCODE_MASK;
}

static void ask_much(struct fixture *f, void *ctx)
{
	uint8_t query[QUERY_CAP];
	char name[64];
	int len;

	for (int i = 0; i < FLOOD; i++) {
		snprintf(name, sizeof(name), "%d.corp.example", i);
		len = ts_dns_write_query(1, name, DNS_TYPE_A, query,
					 sizeof(query));
		ts_dns_service_ask(f->host, NULL, query, (size_t)len,
				   count_answer, ctx);
	}
}

static void give_up(struct fixture *f, void *ctx)
{
	ts_dns_service_cancel(f->host, ctx);
}

/* Resolvers that say nothing do not make us keep whatever is asked for. */
static void a_flood_of_queries_is_turned_away(void **state)
{
	struct flood flood = {.answered = 0};
	struct bench b;

	(void)state;
	open_bench(&b, (struct ts_host_config){0}, CORP);
	on_loop(&b.f, ask_much, &flood);
	assert_true(flood.answered >= FLOOD - 512);
	assert_true(flood.answered < FLOOD);
	assert_int_equal(flood.rcode, DNS_SERVFAIL);
	for (int i = 0; i < 3; i++)
		on_loop(&b.f, do_nothing, NULL);
	on_loop(&b.f, give_up, &flood);
	close_bench(&b);
}

/* -- by HTTPS ------------------------------------------------------------- */

struct https {
	char url[256];
	size_t ip_count;
	uint8_t query[QUERY_CAP];
	size_t len;
	ts_doh_fn fn;
	void *fn_ctx;
	bool is_asked, is_cancelled;
};

static void *https_start(void *ctx, const char *url, const struct ts_ip *ips,
			 size_t ip_count, const uint8_t *query, size_t len,
			 ts_doh_fn fn, void *fn_ctx)
{
	struct https *h = ctx;

	(void)ips;
	snprintf(h->url, sizeof(h->url), "%s", url);
	h->ip_count = ip_count;
	memcpy(h->query, query, len);
	h->len = len;
	h->fn = fn;
	h->fn_ctx = fn_ctx;
	h->is_asked = true;
	return h;
}

static void https_cancel(void *request)
{
	struct https *h = request;

	h->is_cancelled = true;
}

static const struct ts_doh_ops https_ops = {https_start, https_cancel};

static void is_asked(struct fixture *f, void *ctx)
{
	(void)f;
	(void)ctx; /* the loop's turn is all that is wanted */
}

static void answer_https(struct fixture *f, void *ctx)
{
	struct https *h = ctx;

	(void)f;
	begin_answer(&m, h->query, h->len, 0);
	put_record(&m, 0, "example.com", DNS_TYPE_A, 60, ip1, sizeof(ip1));
	h->fn(h->fn_ctx, 200, m.bytes, end_answer(&m));
}

static void fail_https(struct fixture *f, void *ctx)
{
	struct https *h = ctx;

	(void)f;
	h->fn(h->fn_ctx, 503, (const uint8_t *)"no", 2);
}

static void known_servers_are_asked_by_https(void **state)
{
	struct https h = {.len = 0};
	const struct ts_host_config config = {.doh = &https_ops,
					      .first.doh_ctx = &h};
	struct bench b;
	int fd;

	(void)state;
	open_bench(&b, config, "{\"Resolvers\":[{\"Addr\":\"9.9.9.9\"}]}");
	fd = begin_resolve(&b, "example.com", TS_BROKER_WANT_V4);
	assert_true(eventually(&b.f, is_asked, NULL, &h.is_asked));
	assert_string_equal(h.url, "https://dns.quad9.net/dns-query");
	assert_int_equal(h.ip_count, 4);
	on_loop(&b.f, answer_https, &h);
	assert_int_equal(end_request(fd).addr_count, 1);
	assert_false(h.is_cancelled);
	/* failed: the old way has no way here, at once */
	h.is_asked = false;
	fd = begin_resolve(&b, "example.org", TS_BROKER_WANT_V4);
	assert_true(eventually(&b.f, is_asked, NULL, &h.is_asked));
	on_loop(&b.f, fail_https, &h);
	assert_int_equal(end_request(fd).error, EAGAIN);
	/* given up in the middle */
	h.is_asked = false;
	fd = begin_resolve(&b, "example.net", TS_BROKER_WANT_V4);
	assert_true(eventually(&b.f, is_asked, NULL, &h.is_asked));
	close_bench(&b);
	assert_true(h.is_cancelled);
	close(fd);
}

/* -- by a peer, inside the tunnel ----------------------------------------- */

static void look_at_request(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;
	struct ts_byte_queue *out;

	far_look_dialled(f, far);
	if (!far->is)
		return;
	out = &far->t->out;
	far->is = ts_byte_queue_len(out) > 0 &&
		  memmem(ts_byte_queue_data(out), ts_byte_queue_len(out),
			 "\7example\3com", 13);
}

static void take_request(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;

	(void)f;
	far->len = ts_byte_queue_len(&far->t->out);
	assert_true(far->len < QUERY_CAP);
	memcpy(far->got, ts_byte_queue_data(&far->t->out),
	       far->len < sizeof(far->got) ? far->len : sizeof(far->got));
}

static void a_peers_http_is_asked_inside_the_tunnel(void **state)
{
	static const char *const bad[] = {
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\n"
		"Content-Length: 99999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\n"
		"Transfer-Encoding: chunked\r\n\r\n",
		"\1\2\3\r\n\r\n",
	};
	struct ts_broker_reply rep;
	struct far_end far;
	struct bench b;
	int fd;

	(void)state;
	open_bench(&b, (struct ts_host_config){0},
		   "{\"Resolvers\":[{\"Addr\":"
		   "\"http://100.64.0.2:100/dns-query\"}]}");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&far, 0, sizeof(far));
		b.f.node.stack->dial_count = 0;
		fd = begin_resolve(&b, "example.com", TS_BROKER_WANT_V4);
		assert_true(eventually(&b.f, far_look_dialled, &far, &far.is));
		on_loop(&b.f, far_answer, NULL);
		assert_true(eventually(&b.f, look_at_request, &far, &far.is));
		on_loop(&b.f, take_request, &far);
		assert_memory_equal(far.got, "POST /dns-query HTTP/1.1\r\n"
				    "Host: 100.64.0.2:100\r\n", 48);
		far.data = bad[i];
		far.len = strlen(bad[i]);
		on_loop(&b.f, far_send, &far);
		if (i == 2) /* it ends before that much has come */
			on_loop(&b.f, far_reset, &far);
		rep = end_request(fd);
		assert_int_equal(rep.error, EAGAIN);
	}
	close_bench(&b);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(both_families_are_looked_up),
	cmocka_unit_test(new_routes_forget_what_the_old_said),
	cmocka_unit_test(what_is_not_routed_is_libcs),
	cmocka_unit_test(failures_are_no_answers),
	cmocka_unit_test(an_alias_may_lead_into_the_tailnet),
	cmocka_unit_test(endless_aliases_end),
	cmocka_unit_test(single_labels_are_searched_for),
	cmocka_unit_test(bare_queries_are_searched_for),
	cmocka_unit_test(names_of_addresses),
	cmocka_unit_test(resolvers_race),
	cmocka_unit_test(look_ups_may_be_left),
	cmocka_unit_test(a_flood_of_queries_is_turned_away),
	cmocka_unit_test(known_servers_are_asked_by_https),
	cmocka_unit_test(a_peers_http_is_asked_inside_the_tunnel),
};

RUN_IN_EMPTY_NET(tests)
