/* SPDX-License-Identifier: BSD-3-Clause
 * Several nodes of one host: whose a flow is, and addresses that stand in.
 */
#include "far_end.h"

#include "core/host/node_choice.h"
#include "core/host/stand_ins.h"

#define ONLY_B "100.64.0.77"

static struct ts_node other;

struct bench {
	struct fixture f;
	struct ts_node_rules rules[2];
};

static void add_other(struct fixture *f, void *ctx)
{
	struct bench *b = ctx;
	const struct ts_member_config config = {.name = "b",
						.rules = &b->rules[1]};

	if (!ts_host_add(f->host, &other, &config))
		abort();
}

static const char *stand_in4 = "198.18.0.0/15";

static void open_bench(struct bench *b, enum ts_node_state first,
		       const char *rules_a, const char *rules_b)
{
	struct ts_host_config config = {
		.timeout_s = 5,
		.first = {.name = "a", .rules = &b->rules[0]}};
	char why[160];

	memset(b, 0, sizeof(*b));
	assert_int_equal(ts_prefix_parse(stand_in4, &config.stand_in4), 0);
	assert_int_equal(ts_prefix_parse("fd5a::/64", &config.stand_in6), 0);
	assert_int_equal(ts_node_rules_set_destinations(&b->rules[0], rules_a,
							why),
			 0);
	assert_int_equal(ts_node_rules_set_destinations(&b->rules[1], rules_b,
							why),
			 0);
	open_fixture_with(&b->f, config, first);
	memset(&other, 0, sizeof(other));
	other.state = TS_RUNNING;
	other.map = ts_netmap_new();
	other.stack = test_stack_new(b->f.loop);
	make_self(&other);
	other.own_v4 = fake_ip("100.64.0.9");
	other.own_v6 = fake_ip("fd7a:115c:a1e0::9");
	other.also = fake_ip(ONLY_B);
	on_loop(&b->f, add_other, b);
}

static void close_bench(struct bench *b)
{
	close_fixture(&b->f);
	ts_netmap_free(other.map);
	test_stack_free(other.stack);
	ts_node_rules_deinit(&b->rules[0]);
	ts_node_rules_deinit(&b->rules[1]);
}

struct question {
	struct ts_choice by;
	const char *ip;
	unsigned member; /* the answer */
};

static void choose(struct fixture *f, void *ctx)
{
	struct question *q = ctx;
	const struct ts_ip ip = fake_ip(q->ip);

	q->member = ts_choose(f->host, &q->by, &ip)->index;
}

static unsigned chosen(struct bench *b, struct ts_choice by, const char *ip)
{
	struct question q = {.by = by, .ip = ip};

	on_loop(&b->f, choose, &q);
	return q.member;
}

static void the_first_rule_that_says_anything_decides(void **state)
{
	const struct ts_choice any = {.node = 0};
	struct bench b;

	(void)state;
	open_bench(&b, TS_RUNNING, "", "");
	/* both know the peer; one alone knows the other */
	assert_int_equal(chosen(&b, any, PEER), 0);
	assert_int_equal(chosen(&b, any, ONLY_B), 1);
	assert_int_equal(chosen(&b, any, SELF), 0);
	assert_int_equal(chosen(&b, any, "100.64.0.9"), 1);
	assert_int_equal(chosen(&b, any, "100.64.0.200"), 0);
	/* the program's word, the socket's */
	assert_int_equal(chosen(&b, (struct ts_choice){.node = 2}, PEER), 1);
	assert_int_equal(chosen(&b, (struct ts_choice){.node = 1}, ONLY_B), 0);
	assert_int_equal(chosen(&b, (struct ts_choice){.interface = 2}, PEER),
			 1);
	assert_int_equal(chosen(&b,
				(struct ts_choice){.node = 1, .interface = 2},
				PEER),
			 0);
	assert_int_equal(chosen(&b,
				(struct ts_choice){
					.bound = fake_ip("100.64.0.9")},
				PEER),
			 1);
	close_bench(&b);
}

static void destinations_come_before_what_nodes_know(void **state)
{
	const struct ts_choice any = {.node = 0};
	struct bench b;

	(void)state;
	open_bench(&b, TS_RUNNING, ONLY_B, "100.64.0.0/24");
	assert_int_equal(chosen(&b, any, PEER), 1);
	assert_int_equal(chosen(&b, any, ONLY_B), 0);
	close_bench(&b);
}

static void set_down(struct fixture *f, void *ctx)
{
	f->node.state = TS_STOPPED;
	(void)ctx;
}

static void who_may_come_up_is_waited_for(void **state)
{
	const struct ts_choice any = {.node = 0};
	struct bench b;

	(void)state;
	open_bench(&b, TS_STARTING, "", "");
	assert_int_equal(chosen(&b, any, ONLY_B), 0);
	on_loop(&b.f, set_down, NULL);
	assert_int_equal(chosen(&b, any, ONLY_B), 1);
	assert_int_equal(chosen(&b, any, PEER), 1);
	close_bench(&b);
}

static void listen_ports(struct fixture *f, void *ctx)
{
	const struct ts_choice any = {.node = 0};
	const struct ts_choice named = {.node = 2};
	const struct ts_choice tied = {.interface = 1};

	(void)ctx;
	if (ts_choose_servers(f->host, &any, 80) != 3 ||
	    ts_choose_servers(f->host, &any, 9001) != 2 ||
	    ts_choose_servers(f->host, &named, 80) != 2 ||
	    ts_choose_servers(f->host, &tied, 9001) != 1)
		abort();
}

static void listeners_have_all_nodes_or_the_port_s(void **state)
{
	struct bench b;
	char why[160];

	(void)state;
	open_bench(&b, TS_RUNNING, "", "");
	assert_int_equal(ts_node_rules_set_ports(&b.rules[1], "9000-9010",
						 why),
			 0);
	on_loop(&b.f, listen_ports, NULL);
	close_bench(&b);
}

static void look_at_exit(struct fixture *f, void *ctx)
{
	const struct ts_member **exit = ctx;

	*exit = ts_choose_exit(f->host->members, f->host->member_count);
}

static void use_exits(struct fixture *f, void *ctx)
{
	f->node.uses_exit = *(const bool *)ctx;
	other.uses_exit = true;
}

/* The first's, or that of one that has all destinations; never any other's. */
static void an_exit_node_of_one_of_them(void **state)
{
	const struct ts_choice any = {.node = 0};
	const struct ts_member *exit;
	bool first_uses = false;
	struct bench b;

	(void)state;
	open_bench(&b, TS_RUNNING, "", "");
	on_loop(&b.f, use_exits, &first_uses);
	on_loop(&b.f, look_at_exit, &exit);
	assert_null(exit);
	first_uses = true;
	on_loop(&b.f, use_exits, &first_uses);
	on_loop(&b.f, look_at_exit, &exit);
	assert_int_equal(exit->index, 0);
	assert_int_equal(chosen(&b, any, "192.0.2.1"), 0);
	close_bench(&b);
	open_bench(&b, TS_RUNNING, "", "0.0.0.0/0, ::/0");
	first_uses = false;
	on_loop(&b.f, use_exits, &first_uses);
	on_loop(&b.f, look_at_exit, &exit);
	assert_int_equal(exit->index, 1);
	assert_int_equal(chosen(&b, any, "192.0.2.1"), 1);
	close_bench(&b);
}

/* -- stand-ins ------------------------------------------------------------ */

static struct ts_ip told(struct fixture *f, unsigned member, const char *ip)
{
	struct ts_ip out = fake_ip(ip);

	if (!ts_stand_in_tell(&f->host->members[member], "name", &out))
		abort();
	return out;
}

static void tell(struct fixture *f, void *ctx)
{
	struct ts_ip real = fake_ip(PEER), one, two, six;
	struct ts_stand_in *s;

	(void)ctx;
	/* the first's own, and what is not the tailnet's */
	one = told(f, 0, PEER);
	assert_true(ts_ip_equal(&one, &real));
	one = told(f, 1, "192.0.2.1");
	assert_int_equal(ts_ip_v4_host(&one), 0xc0000201);
	one = told(f, 1, ONLY_B);
	assert_int_equal(ts_ip_v4_host(&one), 0x6440004d);
	/* the second's, in place of the first's; the same one again */
	one = told(f, 1, PEER);
	two = told(f, 1, PEER);
	assert_true(ts_ip_equal(&one, &two));
	assert_true(ts_stand_ins_cover(f->host, &one));
	s = ts_stand_in_find(f->host, &one);
	assert_non_null(s);
	assert_true(ts_ip_equal(&s->real, &real));
	assert_int_equal(s->member->index, 1);
	assert_string_equal(s->name, "name");
	six = told(f, 1, "fd7a:115c:a1e0::2");
	assert_false(ts_ip_is_v4(&six));
	assert_true(ts_stand_ins_cover(f->host, &six));
	assert_null(ts_stand_in_find(f->host, &real));
}

static void stand_ins_in_turn(void **state)
{
	struct bench b;

	(void)state;
	open_bench(&b, TS_RUNNING, "", "");
	on_loop(&b.f, tell, NULL);
	close_bench(&b);
}

enum { MANY = 5000 };

/* One that a flow has stays; the others give way, and no address comes again
 * soon. */
static void tell_many(struct fixture *f, void *ctx)
{
	struct ts_ip kept, first, last = {{0}};
	struct ts_stand_in *s;

	(void)ctx;
	kept = told(f, 1, PEER);
	s = ts_stand_in_get(ts_stand_in_find(f->host, &kept));
	for (unsigned i = 0; i < MANY; i++) {
		struct ts_ip ip = ts_ip_from_v4_host(0x64500000 + i);
		struct ts_ip real = ip;

		f->node.also = other.also = ip;
		assert_true(ts_stand_in_tell(&f->host->members[1], "n", &ip));
		assert_false(ts_ip_equal(&ip, &real));
		assert_true(ts_ip_v4_host(&ip) == ts_ip_v4_host(&kept) + i + 1);
		if (i == 0)
			first = ip;
		last = ip;
	}
	assert_non_null(ts_stand_in_find(f->host, &kept));
	assert_non_null(ts_stand_in_find(f->host, &last));
	assert_null(ts_stand_in_find(f->host, &first));
	ts_stand_in_put(s);
}

static void stand_ins_are_bounded(void **state)
{
	struct bench b;

	(void)state;
	open_bench(&b, TS_RUNNING, "", "");
	on_loop(&b.f, tell_many, NULL);
	close_bench(&b);
}

/* The range is soon used up: who is idle gives way. */
static void tell_few(struct fixture *f, void *ctx)
{
	struct ts_ip kept = told(f, 1, PEER), ip;
	struct ts_stand_in *s =
		ts_stand_in_get(ts_stand_in_find(f->host, &kept));

	(void)ctx;
	for (unsigned i = 0; i < MANY; i++) {
		ip = ts_ip_from_v4_host(0x64500000 + i);
		f->node.also = other.also = ip;
		assert_true(ts_stand_in_tell(&f->host->members[1], "n", &ip));
		assert_true(ts_stand_ins_cover(f->host, &ip));
		assert_false(ts_ip_equal(&ip, &kept));
	}
	assert_ptr_equal(ts_stand_in_find(f->host, &kept), s);
	ts_stand_in_put(s);
}

static void a_narrow_range_is_used_again(void **state)
{
	struct bench b;

	(void)state;
	stand_in4 = "192.0.2.0/24";
	open_bench(&b, TS_RUNNING, "", "");
	stand_in4 = "198.18.0.0/15";
	on_loop(&b.f, tell_few, NULL);
	close_bench(&b);
}

/* -- views ---------------------------------------------------------------- */

static struct ts_broker_reply attach(struct bench *b, const char *name, int *fd)
{
	struct ts_broker_request req = {.type = TS_BROKER_ATTACH};
	struct ts_broker_reply rep = {.type = 0};
	int at = broker_connect(b->f.abstract_name);

	snprintf(req.name, sizeof(req.name), "%s", name);
	send_request(at, &req, -1);
	assert_true(receive_reply(at, &rep, fd) > 0);
	close(at);
	return rep;
}

static void a_program_that_names_a_node_sees_no_other(void **state)
{
	const struct ts_table_layout *all, *one;
	struct ts_table_info info, alone;
	struct ts_ip only_a = fake_ip(SELF), b9 = fake_ip("100.64.0.9");
	struct ts_ip stand_in = fake_ip("198.18.0.1");
	struct bench b;
	int fd, err;

	(void)state;
	open_bench(&b, TS_RUNNING, "", "");
	assert_int_equal(attach(&b, "nobody", &fd).error, ENODEV);
	assert_int_equal(attach(&b, "", &fd).error, 0);
	all = ts_table_map(fd, &err);
	assert_non_null(all);
	close(fd);
	assert_int_equal(attach(&b, "b", &fd).error, 0);
	one = ts_table_map(fd, &err);
	assert_non_null(one);
	close(fd);
	assert_true(ts_table_read_info(all, &info));
	assert_true(ts_table_read_info(one, &alone));
	assert_memory_not_equal(info.token, alone.token, sizeof(info.token));
	assert_true(ts_table_is_own(all, &only_a));
	assert_true(ts_table_is_own(all, &b9));
	assert_false(ts_table_is_own(one, &only_a));
	assert_true(ts_table_is_own(one, &b9));
	assert_true(ts_table_claims(all, &stand_in));
	assert_false(ts_table_claims(one, &stand_in));
	ts_table_unmap(all);
	ts_table_unmap(one);
	close_bench(&b);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_first_rule_that_says_anything_decides),
	cmocka_unit_test(destinations_come_before_what_nodes_know),
	cmocka_unit_test(who_may_come_up_is_waited_for),
	cmocka_unit_test(listeners_have_all_nodes_or_the_port_s),
	cmocka_unit_test(an_exit_node_of_one_of_them),
	cmocka_unit_test(stand_ins_in_turn),
	cmocka_unit_test(stand_ins_are_bounded),
	cmocka_unit_test(a_narrow_range_is_used_again),
	cmocka_unit_test(a_program_that_names_a_node_sees_no_other),
};

RUN_IN_EMPTY_NET(tests)
