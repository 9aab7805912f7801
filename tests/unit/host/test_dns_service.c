/* SPDX-License-Identifier: BSD-3-Clause
 * test_dns_service.c - the name server, by TCP, by datagrams and for res_query
 *
 * The test is the program and the system's name servers at once: 127.0.0.1 and
 * 127.0.0.2, port 53, of a network namespace of its own.
 */
#include "far_end.h"

#include "core/base/wire.h"
#include "core/dns/dns_wire.h"
#include "core/host/dns_service.h"
#include "core/host/resolv_conf.h"

#define SERVICE "100.100.100.100:53"

enum { NS = 2, QUERY_CAP = 512, BIG_ANSWER = 3000 };

struct servers {
	char path[64];
	int udp[NS], tcp[NS]; /* -1: nobody is there */
};

static int serve_at(int n, int type)
{
	struct ts_addr at = fake_addr(n == 0 ? "127.0.0.1:53" : "127.0.0.2:53");
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind_to(fd, &at), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void open_servers(struct servers *s)
{
	static const char text[] = "nameserver 127.0.0.1\n"
				   "nameserver 127.0.0.2\n";
	int fd;

	strcpy(s->path, "/tmp/test-resolv-XXXXXX");
	fd = mkstemp(s->path);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	for (int i = 0; i < NS; i++) {
		s->udp[i] = serve_at(i, SOCK_DGRAM);
		s->tcp[i] = serve_at(i, SOCK_STREAM);
	}
}

static void close_server(struct servers *s, int n)
{
	close(s->udp[n]);
	close(s->tcp[n]);
	s->udp[n] = s->tcp[n] = -1;
}

static void close_servers(struct servers *s)
{
	for (int i = 0; i < NS; i++)
		if (s->udp[i] >= 0)
			close_server(s, i);
	unlink(s->path);
}

static void open_with(struct fixture *f, struct servers *s,
		      enum ts_node_state state)
{
	struct ts_host_config config = {.timeout_s = 5};

	open_servers(s);
	config.resolv_conf = s->path;
	open_fixture_with(f, config, state);
}

static void close_all(struct fixture *f, struct servers *s)
{
	close_fixture(f);
	close_servers(s);
}

/* -- messages ------------------------------------------------------------- */

static size_t make_query(uint8_t *out, uint16_t id, const char *name,
			 uint16_t type)
{
	struct ts_writer w = ts_writer_init(out, QUERY_CAP);

	ts_write_be16(&w, id);
	ts_write_be16(&w, DNS_FLAG_RECURSION_DESIRED);
	ts_write_be16(&w, 1);
	ts_write_zeros(&w, 6);
	while (*name) {
		size_t len = strcspn(name, ".");

		ts_write_u8(&w, (uint8_t)len);
		ts_write_bytes(&w, name, len);
		name += len + (name[len] == '.');
	}
	ts_write_u8(&w, 0);
	ts_write_be16(&w, type);
	ts_write_be16(&w, DNS_CLASS_IN);
	assert_false(w.bad);
	return w.len;
}

/* The query with other flags, and len bytes in all. */
static size_t make_answer(uint8_t *out, const uint8_t *query, size_t query_len,
			  uint16_t flags, size_t len)
{
	struct ts_writer w = ts_writer_init(out, len);

	ts_write_bytes(&w, query, query_len);
	while (w.len < len)
		ts_write_u8(&w, 0x5a);
	w = ts_writer_init(out + 2, 2);
	ts_write_be16(&w, (uint16_t)(DNS_FLAG_RESPONSE | flags));
	return len;
}

static uint16_t be16_at(const uint8_t *msg, size_t at)
{
	return (uint16_t)(msg[at] << 8 | msg[at + 1]);
}

static unsigned rcode_of(const uint8_t *msg)
{
	return msg[3] & 0x0f;
}

static void tell(int fd, const uint8_t *msg, size_t len)
{
	uint8_t prefix[2] = {(uint8_t)(len >> 8), (uint8_t)len};

	send_all(fd, prefix, sizeof(prefix));
	send_all(fd, msg, len);
}

static size_t hear(int fd, uint8_t *msg)
{
	uint8_t prefix[2];
	size_t len;

	receive_all(fd, prefix, sizeof(prefix));
	len = be16_at(prefix, 0);
	receive_all(fd, msg, len);
	return len;
}

/* A program's connection to the name server. */
static int dial(struct fixture *f)
{
	struct program_conn c = program_connect(f, SERVICE, false);

	assert_int_equal(c.request_error, 0);
	assert_int_equal(c.connect_error, 0);
	return c.fd;
}

static void ask(int fd, uint16_t id, const char *name)
{
	uint8_t query[QUERY_CAP];

	tell(fd, query, make_query(query, id, name, DNS_TYPE_A));
}

/* What a name server hears by UDP, and from whom. */
static size_t hear_query(int fd, uint8_t *query, struct sockaddr_in *from)
{
	socklen_t from_len = sizeof(*from);
	ssize_t len;

	assert_true(wait_for(fd, POLLIN));
	len = recvfrom(fd, query, QUERY_CAP, 0, (struct sockaddr *)from,
		       &from_len);
	assert_true(len > 0);
	return (size_t)len;
}

static void reply_by_udp(int fd, const uint8_t *msg, size_t len,
			 const struct sockaddr_in *to)
{
	assert_int_equal(sendto(fd, msg, len, 0, (const struct sockaddr *)to,
				sizeof(*to)), len);
}

/* -- our own names -------------------------------------------------------- */

static void names_of_the_tailnet_by_tcp(void **state)
{
	const uint8_t peer[] = {100, 64, 0, 2};
	struct servers s;
	struct fixture f;
	uint8_t msg[QUERY_CAP];
	size_t len;
	int fd;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	fd = dial(&f);
	ask(fd, 77, "peer.ts.net");
	len = hear(fd, msg);
	assert_int_equal(be16_at(msg, 0), 77);
	assert_int_equal(be16_at(msg, 6), 1);
	assert_memory_equal(msg + len - 4, peer, 4);
	ask(fd, 78, "nobody.ts.net");
	hear(fd, msg);
	assert_int_equal(rcode_of(msg), DNS_NXDOMAIN);
	close(fd);
	close_all(&f, &s);
}

/* Two in one piece, then one byte by byte, then the end: all are answered. */
static void queries_come_in_any_pieces(void **state)
{
	uint8_t bytes[2 * QUERY_CAP], query[QUERY_CAP], msg[QUERY_CAP];
	struct servers s;
	struct fixture f;
	size_t at = 0, len;
	int fd;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	fd = dial(&f);
	for (uint16_t id = 1; id <= 2; id++) {
		len = make_query(query, id, "peer.ts.net", DNS_TYPE_A);
		bytes[at++] = (uint8_t)(len >> 8);
		bytes[at++] = (uint8_t)len;
		memcpy(bytes + at, query, len);
		at += len;
	}
	send_all(fd, bytes, at);
	for (size_t i = 0; i < at; i++)
		send_all(fd, bytes + i, 1);
	shutdown(fd, SHUT_WR);
	for (uint16_t i = 0; i < 4; i++) {
		hear(fd, msg);
		assert_int_equal(be16_at(msg, 0), 1 + i % 2);
	}
	assert_true(wait_for(fd, POLLIN));
	assert_int_equal(recv(fd, msg, 1, 0), 0);
	close(fd);
	close_all(&f, &s);
}

static void what_is_no_query_ends_the_connection(void **state)
{
	static const uint8_t junk[] = "xyz";
	struct servers s;
	struct fixture f;
	char c;
	int fd;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	fd = dial(&f);
	tell(fd, junk, sizeof(junk));
	assert_true(wait_for(fd, POLLIN));
	assert_true(recv(fd, &c, 1, 0) < 0);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	fd = dial(&f); /* the next one is served */
	ask(fd, 1, "peer.ts.net");
	hear(fd, (uint8_t[QUERY_CAP]){0});
	close(fd);
	close_all(&f, &s);
}

static void other_ports_of_the_service_are_refused(void **state)
{
	struct servers s;
	struct fixture f;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	assert_int_equal(program_connect(&f, "100.100.100.100:80", false)
				 .request_error, ECONNREFUSED);
	close_all(&f, &s);
}

static void system_servers_are_served_too(void **state)
{
	struct servers s;
	struct fixture f;
	struct ts_ip first = fake_ip("127.0.0.1");
	struct program_conn c;
	uint8_t msg[QUERY_CAP];

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	assert_int_equal(f.info.resolver_count, NS);
	assert_true(ts_ip_equal(&f.info.resolvers[0], &first));
	c = program_connect(&f, "127.0.0.2:53", false);
	assert_int_equal(c.connect_error, 0);
	ask(c.fd, 5, "peer.ts.net");
	hear(c.fd, msg);
	assert_int_equal(be16_at(msg, 6), 1);
	close(c.fd);
	close_all(&f, &s);
}

static void host_mode_leaves_them_alone(void **state)
{
	struct ts_host_config config = {.timeout_s = 5, .dns = TS_DNS_HOST};
	struct fixture f;

	(void)state;
	open_fixture_with(&f, config, TS_RUNNING);
	assert_int_equal(f.info.resolver_count, 0);
	assert_int_equal(program_connect(&f, "127.0.0.1:53", false)
				 .request_error, ENETUNREACH);
	close_fixture(&f);
}

/* -- the system's names --------------------------------------------------- */

static void other_names_are_forwarded(void **state)
{
	uint8_t query[QUERY_CAP], msg[QUERY_CAP];
	struct sockaddr_in from;
	struct servers s;
	struct fixture f;
	size_t len;
	int fd;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	fd = dial(&f);
	ask(fd, 9, "Example.com");
	len = hear_query(s.udp[0], query, &from);
	assert_memory_equal(query + 12, "\7Example\3com", 13);
	len = make_answer(msg, query, len, 0, len + 16);
	reply_by_udp(s.udp[0], msg, len, &from);
	assert_int_equal(hear(fd, msg), len);
	assert_int_equal(be16_at(msg, 0), 9); /* the program's own again */
	close(fd);
	close_all(&f, &s);
}

static void forged_answers_are_ignored(void **state)
{
	uint8_t query[QUERY_CAP], msg[QUERY_CAP], got[QUERY_CAP];
	struct sockaddr_in from;
	struct servers s;
	struct fixture f;
	size_t len, n;
	int fd;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	fd = dial(&f);
	ask(fd, 9, "example.com");
	len = hear_query(s.udp[0], query, &from);
	n = make_answer(msg, query, len, 0, len + 1);
	reply_by_udp(s.udp[1], msg, n, &from); /* another server */
	msg[0] ^= 1;			       /* another ID */
	reply_by_udp(s.udp[0], msg, n, &from);
	msg[0] ^= 1;
	msg[14] ^= 1; /* another question */
	reply_by_udp(s.udp[0], msg, n, &from);
	reply_by_udp(s.udp[0], query, len, &from); /* no answer at all */
	for (size_t cut = 0; cut < len; cut++) {
		msg[14] = query[14];
		reply_by_udp(s.udp[0], msg, cut, &from);
	}
	n = make_answer(msg, query, len, 0, len + 2);
	reply_by_udp(s.udp[0], msg, n, &from);
	assert_int_equal(hear(fd, got), n);
	close(fd);
	close_all(&f, &s);
}

static void cut_off_answers_come_by_tcp(void **state)
{
	static uint8_t msg[BIG_ANSWER], got[65536];
	uint8_t query[QUERY_CAP];
	struct sockaddr_in from;
	struct servers s;
	struct fixture f;
	size_t len;
	int fd, up;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	fd = dial(&f);
	ask(fd, 9, "big.example.com");
	len = hear_query(s.udp[0], query, &from);
	make_answer(msg, query, len, DNS_FLAG_TRUNCATED, len);
	reply_by_udp(s.udp[0], msg, len, &from);
	assert_true(wait_for(s.tcp[0], POLLIN));
	up = accept(s.tcp[0], NULL, NULL);
	len = hear(up, query);
	make_answer(msg, query, len, 0, BIG_ANSWER);
	tell(up, msg, BIG_ANSWER);
	assert_int_equal(hear(fd, got), BIG_ANSWER);
	msg[0] = 0;
	msg[1] = 9;
	assert_memory_equal(got, msg, BIG_ANSWER);
	close(up);
	close(fd);
	close_all(&f, &s);
}

static void a_server_that_cannot_is_another_ones_turn(void **state)
{
	uint8_t query[QUERY_CAP], msg[QUERY_CAP];
	struct sockaddr_in from;
	struct servers s;
	struct fixture f;
	size_t len;
	int fd;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	fd = dial(&f);
	ask(fd, 9, "example.com");
	len = hear_query(s.udp[0], query, &from);
	make_answer(msg, query, len, DNS_SERVFAIL, len);
	reply_by_udp(s.udp[0], msg, len, &from);
	len = hear_query(s.udp[1], query, &from);
	make_answer(msg, query, len, 0, len);
	reply_by_udp(s.udp[1], msg, len, &from);
	hear(fd, msg);
	assert_int_equal(rcode_of(msg), DNS_NOERROR);
	close(fd);
	close_all(&f, &s);
}

static void nobody_there_is_servfail(void **state)
{
	uint8_t msg[QUERY_CAP];
	struct servers s;
	struct fixture f;
	int fd;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	close_server(&s, 0);
	close_server(&s, 1);
	fd = dial(&f);
	ask(fd, 9, "example.com");
	hear(fd, msg);
	assert_int_equal(be16_at(msg, 0), 9);
	assert_int_equal(rcode_of(msg), DNS_SERVFAIL);
	close(fd);
	close_all(&f, &s);
}

/* Its queries are dropped with it; the host is none the worse. */
static void a_program_may_leave(void **state)
{
	struct sockaddr_in from;
	uint8_t query[QUERY_CAP], msg[QUERY_CAP];
	struct servers s;
	struct fixture f;
	struct linger now = {.l_onoff = 1};
	size_t len;
	int fd;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	fd = dial(&f);
	for (uint16_t i = 0; i < 200; i++) /* more than it may have */
		ask(fd, i, "example.com");
	len = hear_query(s.udp[0], query, &from);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	make_answer(msg, query, len, 0, len);
	reply_by_udp(s.udp[0], msg, len, &from);
	fd = dial(&f);
	ask(fd, 1, "peer.ts.net");
	hear(fd, msg);
	close(fd);
	close_all(&f, &s);
}

/* A query with some bytes changed, cut anywhere, then the end. */
static void random_bytes_do_no_harm(void **state)
{
	uint8_t msg[QUERY_CAP];
	struct servers s;
	struct fixture f;
	int fd;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	for (int round = 0; round < 200; round++) {
		size_t len = make_query(msg + 2, 1, "peer.ts.net", DNS_TYPE_A);

		msg[0] = (uint8_t)(ts_random_below(8) == 0);
		msg[1] = (uint8_t)len;
		for (uint32_t i = ts_random_below(4); i > 0; i--)
			msg[ts_random_below((uint32_t)len)] ^=
				(uint8_t)ts_random_u32();
		fd = dial(&f);
		(void)send(fd, msg, ts_random_below((uint32_t)len + 3),
			   MSG_NOSIGNAL);
		if (round % 2)
			shutdown(fd, SHUT_WR);
		close(fd);
	}
	fd = dial(&f);
	ask(fd, 1, "peer.ts.net");
	hear(fd, msg);
	assert_int_equal(be16_at(msg, 6), 1);
	close(fd);
	close_all(&f, &s);
}

/* -- before the netmap ---------------------------------------------------- */

static void come_up(struct fixture *f, void *ctx)
{
	(void)ctx;
	make_self(&f->node);
	f->node.state = TS_RUNNING;
	ts_host_state_changed(f->host);
}

static void tailnet_names_wait_for_the_netmap(void **state)
{
	uint8_t query[QUERY_CAP], msg[QUERY_CAP];
	struct sockaddr_in from;
	struct servers s;
	struct fixture f;
	size_t len;
	int fd;

	(void)state;
	open_with(&f, &s, TS_STARTING);
	fd = dial(&f);
	ask(fd, 1, "peer.ts.net");
	ask(fd, 2, "example.com"); /* need not wait */
	len = hear_query(s.udp[0], query, &from);
	assert_memory_equal(query + 12, "\7example", 8);
	make_answer(msg, query, len, 0, len);
	reply_by_udp(s.udp[0], msg, len, &from);
	hear(fd, msg);
	assert_int_equal(be16_at(msg, 0), 2);
	/* "No such name" is not believed yet. */
	ask(fd, 3, "peer.example.com");
	len = hear_query(s.udp[0], query, &from);
	make_answer(msg, query, len, DNS_NXDOMAIN, len);
	reply_by_udp(s.udp[0], msg, len, &from);
	assert_int_equal(recv(fd, msg, 1, MSG_DONTWAIT), -1);
	on_loop(&f, come_up, NULL);
	hear(fd, msg);
	assert_int_equal(be16_at(msg, 0), 1);
	assert_int_equal(be16_at(msg, 6), 1);
	len = hear_query(s.udp[0], query, &from); /* asked again, believed */
	make_answer(msg, query, len, DNS_NXDOMAIN, len);
	reply_by_udp(s.udp[0], msg, len, &from);
	hear(fd, msg);
	assert_int_equal(be16_at(msg, 0), 3);
	assert_int_equal(rcode_of(msg), DNS_NXDOMAIN);
	close(fd);
	close_all(&f, &s);
}

static void a_refused_node_keeps_tailnet_names_at_home(void **state)
{
	uint8_t msg[QUERY_CAP];
	struct pollfd p;
	struct servers s;
	struct fixture f;
	int fd;

	(void)state;
	open_with(&f, &s, TS_NEEDS_LOGIN);
	f.node.error = "key expired";
	fd = dial(&f);
	ask(fd, 1, "peer.ts.net");
	hear(fd, msg);
	assert_int_equal(rcode_of(msg), DNS_SERVFAIL);
	p = (struct pollfd){.fd = s.udp[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 0);
	close(fd);
	close_all(&f, &s);
}

/* -- the other doors ------------------------------------------------------ */

struct got {
	uint8_t msg[QUERY_CAP];
	size_t len;
	int calls;
};

static void on_answer(void *ctx, const uint8_t *answer, size_t len)
{
	struct got *got = ctx;

	got->calls++;
	got->len = len;
	if (answer)
		memcpy(got->msg, answer, len);
}

static void ask_by_datagram(struct fixture *f, void *ctx)
{
	uint8_t query[QUERY_CAP];
	size_t len = make_query(query, 3, "peer.ts.net", DNS_TYPE_A);

	ts_dns_service_ask(f->host, NULL, query, len, on_answer, ctx);
}

static void ask_junk_by_datagram(struct fixture *f, void *ctx)
{
	ts_dns_service_ask(f->host, NULL, (const uint8_t *)"junk", 4, on_answer,
			   ctx);
}

static void ask_and_cancel(struct fixture *f, void *ctx)
{
	uint8_t query[QUERY_CAP];
	size_t len = make_query(query, 3, "example.com", DNS_TYPE_A);

	ts_dns_service_ask(f->host, NULL, query, len, on_answer, ctx);
	ts_dns_service_cancel(f->host, ctx);
}

static void one_datagram_one_answer(void **state)
{
	struct got got = {.calls = 0}, junk = {.calls = 0}, none = {.calls = 0};
	struct servers s;
	struct fixture f;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	on_loop(&f, ask_by_datagram, &got);
	assert_int_equal(got.calls, 1);
	assert_int_equal(be16_at(got.msg, 6), 1);
	on_loop(&f, ask_junk_by_datagram, &junk);
	assert_int_equal(junk.calls, 1);
	assert_int_equal(junk.len, 0);
	on_loop(&f, ask_and_cancel, &none);
	close_all(&f, &s);
	assert_int_equal(none.calls, 0);
}

static struct ts_broker_reply broker_query(struct fixture *f, const char *name,
					   uint8_t *out, size_t *out_len)
{
	struct ts_broker_request req = {.type = TS_BROKER_DNS};
	uint8_t query[QUERY_CAP], in[QUERY_CAP + TS_BROKER_MESSAGE_MAX];
	struct ts_broker_reply rep;
	int fd = broker_connect(f->abstract_name);
	ssize_t len;

	req.data = query;
	req.data_len = make_query(query, 4, name, DNS_TYPE_A);
	send_request(fd, &req, -1);
	len = recv(fd, in, sizeof(in), 0);
	assert_true(len > 0);
	assert_int_equal(ts_broker_read_reply(in, (size_t)len, &rep), 0);
	*out_len = rep.data_len;
	assert_true(rep.data_len <= QUERY_CAP);
	memcpy(out, rep.data, rep.data_len);
	rep.data = NULL;
	close(fd);
	return rep;
}

static void queries_of_the_broker(void **state)
{
	struct servers s;
	struct fixture f;
	uint8_t msg[QUERY_CAP];
	size_t len;

	(void)state;
	open_with(&f, &s, TS_RUNNING);
	assert_int_equal(broker_query(&f, "peer.ts.net", msg, &len).answer,
			 TS_ANSWER_FOUND);
	assert_true(len > 12);
	assert_int_equal(be16_at(msg, 0), 4);
	assert_int_equal(broker_query(&f, "nobody.ts.net", msg, &len).answer,
			 TS_ANSWER_FOUND);
	assert_int_equal(rcode_of(msg), DNS_NXDOMAIN);
	assert_int_equal(broker_query(&f, "example.com", msg, &len).answer,
			 TS_ANSWER_NOT_OURS);
	assert_int_equal(len, 0);
	close_all(&f, &s);
}

static void do_nothing(struct fixture *f, void *ctx)
{
	(void)f;
	(void)ctx;
}

/* Held until the netmap is there, with a copy of the query. */
static void queries_of_the_broker_wait(void **state)
{
	struct ts_broker_request req = {.type = TS_BROKER_DNS};
	uint8_t query[QUERY_CAP], in[QUERY_CAP + TS_BROKER_MESSAGE_MAX];
	struct ts_broker_reply rep;
	struct servers s;
	struct fixture f;
	ssize_t len;
	int fd;

	(void)state;
	open_with(&f, &s, TS_STARTING);
	fd = broker_connect(f.abstract_name);
	req.data = query;
	req.data_len = make_query(query, 4, "peer.ts.net", DNS_TYPE_A);
	send_request(fd, &req, -1);
	memset(query, 0, sizeof(query));
	for (int i = 0; i < 10; i++) /* turns: it is read by now */
		on_loop(&f, do_nothing, NULL);
	assert_int_equal(recv(fd, in, 1, MSG_DONTWAIT), -1);
	on_loop(&f, come_up, NULL);
	len = recv(fd, in, sizeof(in), 0);
	assert_int_equal(ts_broker_read_reply(in, (size_t)len, &rep), 0);
	assert_int_equal(rep.answer, TS_ANSWER_FOUND);
	assert_int_equal(be16_at(rep.data, 6), 1);
	close(fd);
	close_all(&f, &s);
}

/* -- resolv.conf ---------------------------------------------------------- */

static void servers_in_resolv_conf(void **state)
{
	static const struct {
		const char *text, *first;
		size_t count;
	} cases[] = {
		{"", "127.0.0.1", 1},
		{"nameserver", "127.0.0.1", 1},
		{"nameserver ", "127.0.0.1", 1},
		{"nameserver 1.2.3.4", "1.2.3.4", 1},
		{"nameserver\t1.2.3.4 # comment\r\n", "1.2.3.4", 1},
		{"#nameserver 1.2.3.4\nsearch x\nnameserver ::1\n", "::1", 1},
		{"nameserver4 1.1.1.1\n nameserver 2.2.2.2\n", "127.0.0.1", 1},
		{"nameserver fe80::1%lo\n", "fe80::1", 1},
		{"nameserver fe80::1%no-such\n", "127.0.0.1", 1},
		{"nameserver 0.0.0.0\nnameserver x\n", "127.0.0.1", 1},
		{"nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\n"
		 "nameserver 4.4.4.4\nnameserver 5.5.5.5\n", "1.1.1.1", 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ts_name_server found[TS_TABLE_RESOLVER_MAX];
		struct ts_ip first = fake_ip(cases[i].first);

		assert_int_equal(ts_resolv_conf_parse(cases[i].text, found),
				 cases[i].count);
		assert_true(ts_ip_equal(&found[0].addr.ip, &first));
		assert_int_equal(found[0].addr.port, 53);
		assert_int_equal(found[0].scope != 0,
				 strstr(cases[i].text, "%lo") != NULL);
	}
}

static void search_lists_in_resolv_conf(void **state)
{
	static const struct {
		const char *text, *first;
		size_t count;
	} cases[] = {
		{"", "", 0},
		{"search", "", 0},
		{"search \n", "", 0},
		{"search a.example b.example\n", "a.example", 2},
		{"domain c.example\r\n#search x\n", "c.example", 1},
		{"search a\nsearch\tb  c\n", "b", 2},
		{"search 1 2 3 4 5 6 7 8", "1", TS_DNS_SYSTEM_SEARCH_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char found[TS_DNS_SYSTEM_SEARCH_MAX][TS_DNS_NAME_CAP] = {""};

		assert_int_equal(ts_resolv_conf_parse_search(cases[i].text,
							     found),
				 cases[i].count);
		assert_string_equal(found[0], cases[i].first);
	}
}

static void a_changed_resolv_conf_is_read_again(void **state)
{
	static const char text[] = "nameserver 9.9.9.9\n";
	struct ts_resolv_conf conf = {.count = 0};
	struct servers s;
	int fd;

	(void)state;
	open_servers(&s);
	conf.path = s.path;
	assert_true(ts_resolv_conf_refresh(&conf));
	assert_int_equal(conf.count, NS);
	assert_false(ts_resolv_conf_refresh(&conf));
	fd = open(s.path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	assert_true(ts_resolv_conf_refresh(&conf));
	assert_int_equal(conf.count, 1);
	unlink(s.path);
	assert_true(ts_resolv_conf_refresh(&conf));
	assert_int_equal(conf.count, 1); /* 127.0.0.1, as libc has it */
	close_servers(&s);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(servers_in_resolv_conf),
	cmocka_unit_test(search_lists_in_resolv_conf),
	cmocka_unit_test(names_of_the_tailnet_by_tcp),
	cmocka_unit_test(queries_come_in_any_pieces),
	cmocka_unit_test(what_is_no_query_ends_the_connection),
	cmocka_unit_test(other_ports_of_the_service_are_refused),
	cmocka_unit_test(system_servers_are_served_too),
	cmocka_unit_test(host_mode_leaves_them_alone),
	cmocka_unit_test(other_names_are_forwarded),
	cmocka_unit_test(forged_answers_are_ignored),
	cmocka_unit_test(cut_off_answers_come_by_tcp),
	cmocka_unit_test(a_server_that_cannot_is_another_ones_turn),
	cmocka_unit_test(nobody_there_is_servfail),
	cmocka_unit_test(a_program_may_leave),
	cmocka_unit_test(random_bytes_do_no_harm),
	cmocka_unit_test(tailnet_names_wait_for_the_netmap),
	cmocka_unit_test(a_refused_node_keeps_tailnet_names_at_home),
	cmocka_unit_test(one_datagram_one_answer),
	cmocka_unit_test(queries_of_the_broker),
	cmocka_unit_test(queries_of_the_broker_wait),
	cmocka_unit_test(a_changed_resolv_conf_is_read_again),
};

RUN_IN_EMPTY_NET(tests)
