/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_packets.c - UDP, ICMP, fragments, and packets made to hurt
 */
#include "unit/netstack/two_stacks.h"

#include "core/base/wire.h"
#include "netstack/checksum.h"

struct inbox {
	int count, errors, last_error;
	size_t len;
	uint8_t data[65536];
	struct ts_addr from, to;
};

static void on_datagram(void *user, const struct ts_addr *from,
			const struct ts_addr *to, const uint8_t *data,
			size_t len)
{
	struct inbox *in = user;

	in->count++;
	in->len = len;
	in->from = *from;
	in->to = *to;
	memcpy(in->data, data, len);
}

static void on_udp_error(void *user, const struct ts_addr *remote, int err)
{
	struct inbox *in = user;

	(void)remote;
	in->errors++;
	in->last_error = err;
}

static struct stack_udp *udp_open(struct net *net, int i, const char *local,
				  struct inbox *in)
{
	struct ts_addr addr = addr_of(local);
	int err;
	struct stack_udp *u = stack_udp_open(net->node[i].s, &addr, on_datagram,
					     in, &err);

	assert_int_equal(err, 0);
	assert_non_null(u);
	return u;
}

static struct stack_counters counters(const struct net *net, int i)
{
	struct stack_counters c;

	stack_counters(net->node[i].s, &c);
	return c;
}

static void datagrams_of_both_families(void **state)
{
	struct net net;
	struct inbox *in = calloc(1, sizeof(*in));
	struct stack_udp *a;

	(void)state;
	net_open(&net);
	a = udp_open(&net, 0, "0.0.0.0:0", NULL);
	udp_open(&net, 1, "[::]:53", in);
	for (int v6 = 0; v6 < 2; v6++) {
		struct ts_addr to = net_addr(&net, 1, v6, 53);

		assert_int_equal(stack_udp_send(a, &to, "hello", 5), 0);
		net_run(&net, 10);
		assert_int_equal(in->count, v6 + 1);
		assert_int_equal(in->len, 5);
		assert_memory_equal(in->data, "hello", 5);
		assert_true(ts_addr_equal(&in->to, &to));
		assert_int_equal(in->from.port, stack_udp_port(a));
	}
	net_close(&net);
	free(in);
}

static void empty_datagram(void **state)
{
	struct net net;
	struct inbox *in = calloc(1, sizeof(*in));
	struct ts_addr to;

	(void)state;
	net_open(&net);
	udp_open(&net, 1, "0.0.0.0:53", in);
	to = net_addr(&net, 1, false, 53);
	assert_int_equal(stack_udp_send(udp_open(&net, 0, "0.0.0.0:0", NULL),
					&to, NULL, 0), 0);
	net_run(&net, 10);
	assert_int_equal(in->count, 1);
	assert_int_equal(in->len, 0);
	net_close(&net);
	free(in);
}

static void large_datagrams_travel_in_fragments(void **state)
{
	struct net net;
	struct inbox *in = calloc(1, sizeof(*in));
	static const size_t lens[] = {1252, 1253, 1233, 4000, 65507, 65487};
	uint8_t *data = malloc(65507);
	struct stack_udp *a;

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < 65507; i++)
		data[i] = pattern(i);
	net_open(&net);
	net.reorder_permille = 300;
	a = udp_open(&net, 0, "0.0.0.0:0", NULL);
	udp_open(&net, 1, "0.0.0.0:53", in);
	for (int i = 0; i < 12; i++) {
		struct ts_addr to = net_addr(&net, 1, i % 2, 53);
		size_t len = lens[i / 2];

		if (i % 2 && len > 65487)
			continue;
		in->len = 0;
		assert_int_equal(stack_udp_send(a, &to, data, len), 0);
		net_run(&net, 100);
		assert_int_equal(in->len, len);
		assert_memory_equal(in->data, data, len);
	}
	assert_true(net.last_len <= 1280);
	{
		struct ts_addr to = net_addr(&net, 1, false, 53);

		assert_int_equal(stack_udp_send(a, &to, data, 65508),
				 -EMSGSIZE);
	}
	net_close(&net);
	free(data);
	free(in);
}

static void unfinished_fragments_are_bounded_and_go(void **state)
{
	struct net net;
	struct inbox *in = calloc(1, sizeof(*in));
	struct ts_addr to;
	struct stack_udp *a;
	uint8_t data[2000] = {0};

	(void)state;
	net_open(&net);
	a = udp_open(&net, 0, "0.0.0.0:0", NULL);
	udp_open(&net, 1, "0.0.0.0:53", in);
	to = net_addr(&net, 1, false, 53);
	net.loss_permille = 500;
	for (int i = 0; i < 500; i++) {
		stack_udp_send(a, &to, data, sizeof(data));
		net_run(&net, 2);
	}
	net.loss_permille = 0;
	in->count = 0;
	stack_udp_send(a, &to, data, sizeof(data)); /* not shut out */
	net_run(&net, 10);
	assert_int_equal(in->count, 1);
	net_run(&net, 20000);
	assert_int_equal(stack_deadline_ms(net.node[1].s), UINT64_MAX);
	net_close(&net);
	free(in);
}

static void closed_port_is_reported(void **state)
{
	struct net net;
	struct inbox *in = calloc(1, sizeof(*in));
	struct stack_udp *a;

	(void)state;
	net_open(&net);
	a = udp_open(&net, 0, "0.0.0.0:0", in);
	stack_udp_set_error(a, on_udp_error);
	for (int v6 = 0; v6 < 2; v6++) {
		struct ts_addr to = net_addr(&net, 1, v6, 9);

		in->last_error = 0;
		stack_udp_send(a, &to, "x", 1);
		net_run(&net, 10);
		assert_int_equal(in->errors, v6 + 1);
		assert_int_equal(in->last_error, -ECONNREFUSED);
	}
	for (int i = 0; i < 300; i++) {
		struct ts_addr to = net_addr(&net, 1, false, 9);

		stack_udp_send(a, &to, "x", 1);
	}
	net_run(&net, 10);
	assert_in_range(in->errors, 50, 200); /* errors are rate-limited */
	net_close(&net);
	free(in);
}

static void bindings_by_address_and_port(void **state)
{
	struct net net;
	struct inbox *any = calloc(1, sizeof(*any)), *one = calloc(1,
							sizeof(*one));
	struct ts_addr to, other = addr_of("100.64.9.9:53");
	struct stack_udp *a, *u;
	int err;

	(void)state;
	net_open(&net);
	a = udp_open(&net, 0, "0.0.0.0:1000", NULL);
	udp_open(&net, 1, "0.0.0.0:53", any);
	u = udp_open(&net, 1, "100.64.0.2:53", one);
	to = net_addr(&net, 1, false, 53);
	assert_null(stack_udp_open(net.node[1].s, &to, on_datagram, NULL,
				   &err));
	assert_int_equal(err, -EADDRINUSE);
	assert_null(stack_udp_open(net.node[1].s, &other, on_datagram, NULL,
				   &err));
	assert_int_equal(err, -EADDRNOTAVAIL);
	stack_udp_send(a, &to, "x", 1);
	net_run(&net, 10);
	assert_int_equal(one->count, 1);
	assert_int_equal(any->count, 0);
	stack_udp_close(u);
	stack_udp_send(a, &to, "x", 1);
	net_run(&net, 10);
	assert_int_equal(any->count, 1);
	net_close(&net);
	free(any);
	free(one);
}

static void a_datagram_is_refused_afterwards(void **state)
{
	struct net net;
	struct inbox *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));

	(void)state;
	net_open(&net);
	for (int v6 = 0; v6 < 2; v6++) {
		struct ts_addr to = net_addr(&net, 1, v6, 53);
		struct stack_udp *from = udp_open(&net, 0, "[::]:0", a);
		struct stack_udp *at = udp_open(&net, 1, "[::]:53", b);

		stack_udp_set_error(from, on_udp_error);
		a->last_error = 0;
		stack_udp_send(from, &to, "question", 8);
		net_run(&net, 10);
		assert_int_equal(b->count, v6 + 1);
		assert_int_equal(a->last_error, 0);
		stack_udp_refuse(at, &b->from, &b->to, b->data, b->len);
		net_run(&net, 10);
		assert_int_equal(a->last_error, -ECONNREFUSED);
		/* as long as UDP can be, and not from an address of ours */
		stack_udp_refuse(at, &b->from, &b->to, b->data, 0);
		b->to.ip = net.node[0].v4;
		stack_udp_refuse(at, &b->from, &b->to, b->data, b->len);
		net_run(&net, 10);
		assert_int_equal(a->errors, 2 * (v6 + 1));
		stack_udp_close(from);
		stack_udp_close(at);
	}
	net_close(&net);
	free(a);
	free(b);
}

/* -- echo ----------------------------------------------------------------- */
struct echoes {
	struct ts_ip from;
	uint16_t seq;
	int count, errors, last_error;
	size_t len;
	uint8_t data[65536];
};

static void on_echo(void *user, const struct ts_ip *from, uint16_t seq,
		    const uint8_t *data, size_t len)
{
	struct echoes *in = user;

	in->count++;
	in->from = *from;
	in->seq = seq;
	in->len = len;
	memcpy(in->data, data, len);
}

static void on_echo_error(void *user, const struct ts_ip *to, uint16_t seq,
			  int err)
{
	struct echoes *in = user;

	in->errors++;
	in->from = *to;
	in->seq = seq;
	in->last_error = err;
}

static struct stack_echo *echo_open(struct net *net, int i, struct echoes *in)
{
	int err;
	struct stack_echo *e = stack_echo_open(net->node[i].s, on_echo,
					       on_echo_error, in, &err);

	assert_non_null(e);
	assert_int_equal(err, 0);
	return e;
}

static void echo_in_both_families(void **state)
{
	static const size_t lens[] = {0, 1, 56, 1400, 20000};
	struct echoes *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	uint8_t *data = malloc(20000);
	struct stack_echo *first, *second;
	struct net net;

	(void)state;
	net_open(&net);
	first = echo_open(&net, 0, a);
	second = echo_open(&net, 0, b);
	for (size_t i = 0; i < 20000; i++)
		data[i] = (uint8_t)(i * 7);
	for (uint16_t i = 0; i < 10; i++) {
		const struct ts_ip *to = i % 2 ? &net.node[1].v6
					       : &net.node[1].v4;
		size_t len = lens[i / 2];

		assert_int_equal(stack_echo_send(first, to, i, data, len), 0);
		net_run(&net, 10);
		assert_int_equal(a->count, i + 1);
		assert_int_equal(a->seq, i);
		assert_int_equal(a->len, len);
		assert_memory_equal(a->data, data, len);
		assert_true(ts_ip_equal(&a->from, to));
	}
	assert_int_equal(b->count, 0);
	stack_echo_close(second);
	stack_set_addrs(net.node[0].s, &TS_IP_ZERO, &TS_IP_ZERO);
	assert_int_equal(stack_echo_send(first, &net.node[1].v4, 1, data, 8),
			 -ENETUNREACH);
	net_close(&net);
	free(data);
	free(a);
	free(b);
}

/* -- packets made by hand ------------------------------------------------- */
static size_t put_v4(uint8_t *out, const struct ts_ip *src,
		     const struct ts_ip *dst, uint8_t proto, const void *body,
		     size_t len)
{
	struct ts_writer w = ts_writer_init(out, 2048);
	uint16_t sum;

	ts_write_be16(&w, 0x4500);
	ts_write_be16(&w, (uint16_t)(20 + len));
	ts_write_be32(&w, 0x12340000);
	ts_write_u8(&w, 64);
	ts_write_u8(&w, proto);
	ts_write_be16(&w, 0);
	ts_write_bytes(&w, src->bytes + 12, 4);
	ts_write_bytes(&w, dst->bytes + 12, 4);
	sum = stack_sum_finish(stack_sum(out, 20));
	out[10] = (uint8_t)(sum >> 8);
	out[11] = (uint8_t)sum;
	ts_write_bytes(&w, body, len);
	assert_false(w.bad);
	return w.len;
}

static void seal(uint8_t *body, size_t len, size_t at, uint32_t pseudo)
{
	uint16_t sum;

	body[at] = body[at + 1] = 0;
	sum = stack_sum_finish(pseudo + stack_sum(body, len));
	body[at] = (uint8_t)(sum >> 8);
	body[at + 1] = (uint8_t)sum;
}

/* An ICMP unreachable of `code` from node 1 about the packet that node 0 sent
 * last. */
static void inject_unreachable(struct net *net, uint8_t code)
{
	uint8_t icmp[8 + 28] = {3, code}, ip[2048];
	size_t len;

	memcpy(icmp + 8, net->last, 28);
	seal(icmp, sizeof(icmp), 2, 0);
	len = put_v4(ip, &net->node[1].v4, &net->node[0].v4, 1, icmp,
		     sizeof(icmp));
	stack_input(net->node[0].s, ip, len, net->now_ms);
}

static void unreachable_ends_a_dial(void **state)
{
	static const struct {
		uint8_t code;
		int err;
	} cases[] = {
		{0, -ENETUNREACH}, {1, -EHOSTUNREACH}, {3, -ECONNREFUSED},
		{13, -EHOSTUNREACH},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net net;
		struct end a = {0};

		net_open(&net);
		end_dial(&net, &a, false, 80);
		inject_unreachable(&net, 4); /* "fragmentation needed" */
		assert_false(a.over);
		inject_unreachable(&net, cases[i].code);
		assert_true(a.over);
		assert_int_equal(a.err, cases[i].err);
		net_close(&net);
	}
}

static void an_error_about_an_echo_finds_its_owner(void **state)
{
	struct echoes *in = calloc(1, sizeof(*in));
	struct stack_echo *e;
	struct net net;

	(void)state;
	net_open(&net);
	e = echo_open(&net, 0, in);
	assert_int_equal(stack_echo_send(e, &net.node[1].v4, 77, "x", 1), 0);
	inject_unreachable(&net, 1);
	assert_int_equal(in->errors, 1);
	assert_int_equal(in->seq, 77);
	assert_int_equal(in->last_error, -EHOSTUNREACH);
	assert_true(ts_ip_equal(&in->from, &net.node[1].v4));
	net.last[20] = 0; /* a reply is nobody's request */
	inject_unreachable(&net, 1);
	assert_int_equal(in->errors, 1);
	stack_echo_close(e);
	net.last[20] = 8;
	inject_unreachable(&net, 1);
	assert_int_equal(in->errors, 1);
	net_close(&net);
	free(in);
}

static void unreachable_with_a_wrong_number_is_ignored(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};

	(void)state;
	net_open(&net);
	end_dial(&net, &a, false, 80);
	net.last[20 + 7] ^= 1; /* sequence number */
	inject_unreachable(&net, 3);
	assert_false(a.over);
	net_close(&net);
	net_open(&net);
	a = (struct end){0};
	net_connect(&net, &a, &b);
	a.to_write = 10;
	end_write(&a);
	inject_unreachable(&net, 3); /* a connection that is up goes on */
	assert_false(a.over);
	net_close(&net);
}

static void foreign_and_martian_packets_are_dropped(void **state)
{
	struct net net;
	struct inbox *in = calloc(1, sizeof(*in));
	static const char *const bad[][2] = {
		{"100.64.0.1", "100.64.0.3"},	    /* not ours */
		{"100.64.0.2", "100.64.0.2"},	    /* from us */
		{"127.0.0.1", "100.64.0.2"},	    {"0.0.0.0", "100.64.0.2"},
		{"224.0.0.1", "100.64.0.2"},	    {"100.64.0.1", "224.0.0.1"},
		{"100.64.0.1", "255.255.255.255"},  {"100.64.0.1", "0.0.0.0"},
	};
	uint8_t udp[10] = {0, 9, 0, 53, 0, 10, 0, 0, 'h', 'i'}, ip[2048];
	struct stack_counters c;

	(void)state;
	net_open(&net);
	udp_open(&net, 1, "0.0.0.0:53", in);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ts_ip src = ip_of(bad[i][0]), dst = ip_of(bad[i][1]);

		stack_input(net.node[1].s, ip,
			    put_v4(ip, &src, &dst, 17, udp, sizeof(udp)),
			    net.now_ms);
	}
	c = counters(&net, 1);
	assert_int_equal(in->count, 0);
	assert_int_equal(net.node[1].sent, 0);
	assert_int_equal(c.dropped_not_ours, 4);
	assert_int_equal(c.dropped_bad, 4);
	stack_input(net.node[1].s, ip,
		    put_v4(ip, &net.node[0].v4, &net.node[1].v4, 17, udp,
			   sizeof(udp)), net.now_ms);
	assert_int_equal(in->count, 1);
	net_close(&net);
	free(in);
}

static void wrong_checksums_are_dropped(void **state)
{
	struct net net;
	struct end a = {0};
	struct wire_packet *p;

	(void)state;
	net_open(&net);
	end_dial(&net, &a, false, 80);
	p = net.first;
	for (size_t i = 0; i < p->len; i++) {
		p->data[i] ^= 0x10;
		stack_input(net.node[1].s, p->data, p->len, net.now_ms);
		p->data[i] ^= 0x10;
	}
	assert_int_equal(net.node[1].syns, 0);
	net_run(&net, 10);
	assert_int_equal(net.node[1].syns, 1);
	net_close(&net);
}

/* Each packet of a conversation, cut at each length, into the other stack. */
static bool feed_cuts(struct net *net, const uint8_t *ip, size_t len)
{
	int to = ip[19] == 1 ? 0 : 1;

	for (size_t cut = 0; cut < len && net->delivered < 40; cut++) {
		uint8_t *copy = malloc(cut + 1);

		assert_non_null(copy);
		memcpy(copy, ip, cut);
		wire_put(net, to, copy, cut, net->now_ms);
		free(copy);
	}
	return true;
}

static void packets_cut_at_each_length(void **state)
{
	struct net net;
	struct end a = {.is_greedy = true, .to_write = 3000,
			.shut_when_written = true};
	struct end b = {.is_greedy = true, .to_write = 100,
			.shut_when_written = true};

	(void)state;
	net_open(&net);
	net.may_pass = feed_cuts;
	net.node[1].policy = ACCEPT;
	net.node[1].accept_end = &b;
	end_dial(&net, &a, false, 80);
	net_run(&net, 1000);
	assert_int_equal(b.read, 3000);
	assert_int_equal(a.read, 100);
	assert_true(a.over && b.over);
	assert_no_connections(&net);
	net_close(&net);
}

static void put_segment(struct net *net, uint32_t seq, uint32_t ack,
			uint8_t flags, const uint8_t *options, size_t opt_len,
			size_t data_len, uint16_t src_port)
{
	uint8_t tcp[1500] = {0}, ip[2048];
	struct ts_writer w = ts_writer_init(tcp, sizeof(tcp));

	ts_write_be16(&w, src_port);
	ts_write_be16(&w, 80);
	ts_write_be32(&w, seq);
	ts_write_be32(&w, ack);
	ts_write_u8(&w, (uint8_t)((20 + opt_len) / 4 << 4));
	ts_write_u8(&w, flags);
	ts_write_be16(&w, 0xffff);
	ts_write_be32(&w, 0);
	if (opt_len)
		ts_write_bytes(&w, options, opt_len);
	ts_write_zeros(&w, data_len);
	seal(tcp, w.len, 16,
	     stack_sum_pseudo(&net->node[0].v4, &net->node[1].v4, 6, w.len));
	stack_input(net->node[1].s, ip,
		    put_v4(ip, &net->node[0].v4, &net->node[1].v4, 6, tcp,
			   w.len), net->now_ms);
}

/* of the segment that went out last */
static uint32_t last_seq(const struct net *net)
{
	struct ts_reader r = ts_reader_init(net->last + 24, 4);

	return ts_read_be32(&r);
}

static void stray_segment_is_reset(void **state)
{
	struct net net;

	(void)state;
	net_open(&net);
	put_segment(&net, 100, 200, 0x10, NULL, 0, 5, 4000);
	assert_int_equal(net.node[1].sent, 1);
	assert_int_equal(net.last[33], 0x04); /* RST at the number acked */
	assert_memory_equal(net.last + 24, "\0\0\0\310", 4);
	put_segment(&net, 100, 0, 0x01, NULL, 0, 5, 4000);
	assert_int_equal(net.last[33], 0x14); /* RST+ACK of all it had */
	assert_memory_equal(net.last + 28, "\0\0\0\152", 4);
	put_segment(&net, 100, 200, 0x04, NULL, 0, 0, 4000);
	assert_int_equal(net.node[1].sent, 2); /* never a RST for a RST */
	net_close(&net);
}

static void refusal_acknowledges_the_syn_and_its_data(void **state)
{
	struct net net;

	(void)state;
	net_open(&net);
	net.node[1].policy = REFUSE;
	put_segment(&net, 1000, 0, 0x02, NULL, 0, 7, 4000);
	assert_int_equal(net.last[33], 0x14);
	assert_memory_equal(net.last + 24, "\0\0\0\0", 4);
	assert_memory_equal(net.last + 28, "\0\0\3\360", 4); /* 1008 */
	net_close(&net);
}

static void broken_options_are_dropped(void **state)
{
	static const uint8_t options[][8] = {
		{2, 0, 0, 0, 0, 0, 0, 0},   {8, 255, 1, 1, 1, 1, 1, 1},
		{5, 2, 5, 1, 5, 0, 1, 1},   {3, 200, 1, 1, 1, 1, 1, 3},
		{1, 1, 1, 1, 1, 1, 1, 2},   {1, 1, 1, 1, 1, 1, 2, 4},
		{1, 1, 1, 1, 1, 2, 4, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct net net;

		net_open(&net);
		put_segment(&net, 1000, 0, 0x02, options[i], 8, 0, 4000);
		assert_int_equal(net.node[1].syns, 0);
		assert_int_equal(counters(&net, 1).dropped_bad, 1);
		net_close(&net);
	}
}

static void hostile_options_do_no_harm(void **state)
{
	static const uint8_t options[][8] = {
		{2, 4, 0, 0, 0, 0, 0, 0},     /* MSS 0 */
		{2, 4, 0, 1, 1, 1, 1, 0},     /* MSS 1 */
		{3, 3, 255, 3, 3, 14, 1, 0},  /* window scale twice */
		{2, 4, 255, 255, 3, 3, 14, 0},
		{2, 3, 1, 3, 4, 1, 4, 1},     /* wrong lengths */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct net net;
		struct end b = {.to_write = 100000};
		uint32_t iss;

		net_open(&net);
		net.node[1].policy = ACCEPT;
		net.node[1].accept_end = &b;
		put_segment(&net, 1000, 0, 0x02, options[i], 8, 0, 4000);
		assert_int_equal(net.node[1].sent, 1);
		iss = last_seq(&net);
		put_segment(&net, 1001, iss + 1, 0x10, options[i], 8, 0, 4000);
		assert_true(b.up);
		net.is_cut = true;
		net_run(&net, 10000);
		assert_true(net.node[1].sent < 200);
		net_close(&net);
	}
}

static void peers_large_mss_is_cut_to_our_mtu(void **state)
{
	static const uint8_t options[4] = {2, 4, 0x22, 0xec}; /* 8940 */
	struct net net;
	struct end b = {.to_write = 5000};

	(void)state;
	net_open(&net);
	net.node[1].policy = ACCEPT;
	net.node[1].accept_end = &b;
	net.is_cut = true;
	put_segment(&net, 1000, 0, 0x02, options, 4, 0, 4000);
	put_segment(&net, 1001, last_seq(&net) + 1, 0x10, NULL, 0, 0, 4000);
	assert_int_equal(net.node[1].sent, 6); /* SYN-ACK, 4 full, the rest */
	assert_int_equal(net.last_len, 40 + 40);
	net_close(&net);
}

static void syn_flood_costs_a_bounded_number(void **state)
{
	struct net net;

	(void)state;
	net_open(&net);
	for (unsigned i = 0; i < 5000; i++)
		put_segment(&net, i, 0, 0x02, NULL, 0, 0,
			    (uint16_t)(10000 + i));
	assert_int_equal(net.node[1].syns, 1024);
	net_run(&net, 31000);
	assert_int_equal(net.node[1].syns_gone, 1024);
	put_segment(&net, 1, 0, 0x02, NULL, 0, 0, 9999);
	assert_int_equal(net.node[1].syns, 1025);
	net_close(&net);
}

/* One-byte segments in every other place: nothing may be kept for long. */
static void holes_do_not_grow_memory(void **state)
{
	struct net net;
	struct end b = {0};
	uint32_t iss;

	(void)state;
	net_open(&net);
	net.node[1].policy = ACCEPT;
	net.node[1].accept_end = &b;
	net.is_cut = true;
	put_segment(&net, 1000, 0, 0x02, NULL, 0, 0, 4000);
	iss = last_seq(&net);
	for (uint32_t i = 0; i < 20000; i++)
		put_segment(&net, 1003 + 2 * i, iss + 1, 0x10, NULL, 0, 1,
			    4000);
	assert_true(b.up);
	assert_int_equal(stack_tcp_read_view(b.t, NULL, 0), 0);
	put_segment(&net, 1001, iss + 1, 0x14, NULL, 0, 0, 4000);
	assert_true(b.over);
	net_close(&net);
}

static void random_bytes_do_no_harm(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};
	uint8_t ip[200];

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	for (int i = 0; i < 100000; i++) {
		size_t len = net_random(&net) % sizeof(ip);

		for (size_t k = 0; k < len; k++)
			ip[k] = (uint8_t)net_random(&net);
		ip[0] = (i % 2) ? 0x45 : 0x60;
		stack_input(net.node[1].s, ip, len, net.now_ms);
	}
	assert_false(a.over || b.over);
	net_close(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_of_both_families),
		cmocka_unit_test(empty_datagram),
		cmocka_unit_test(large_datagrams_travel_in_fragments),
		cmocka_unit_test(unfinished_fragments_are_bounded_and_go),
		cmocka_unit_test(closed_port_is_reported),
		cmocka_unit_test(bindings_by_address_and_port),
		cmocka_unit_test(a_datagram_is_refused_afterwards),
		cmocka_unit_test(echo_in_both_families),
		cmocka_unit_test(an_error_about_an_echo_finds_its_owner),
		cmocka_unit_test(unreachable_ends_a_dial),
		cmocka_unit_test(unreachable_with_a_wrong_number_is_ignored),
		cmocka_unit_test(foreign_and_martian_packets_are_dropped),
		cmocka_unit_test(wrong_checksums_are_dropped),
		cmocka_unit_test(packets_cut_at_each_length),
		cmocka_unit_test(stray_segment_is_reset),
		cmocka_unit_test(refusal_acknowledges_the_syn_and_its_data),
		cmocka_unit_test(broken_options_are_dropped),
		cmocka_unit_test(hostile_options_do_no_harm),
		cmocka_unit_test(peers_large_mss_is_cut_to_our_mtu),
		cmocka_unit_test(syn_flood_costs_a_bounded_number),
		cmocka_unit_test(holes_do_not_grow_memory),
		cmocka_unit_test(random_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
