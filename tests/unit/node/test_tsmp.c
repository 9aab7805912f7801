/* SPDX-License-Identifier: BSD-3-Clause
 * test_tsmp.c - what a peer's refusal means for a connection of ours
 */
#include "unit/node/node_sim.h"

#include <errno.h>
#include <netinet/in.h>

#include "core/base/wire.h"
#include "core/node/node_internal.h"

enum { TSMP = 99, HEADER_LEN = 20 };

/* As PROTOCOL appendix B has it, but for the addresses. */
static size_t write_reject(uint8_t *out, size_t cap, struct ts_ip src,
			   struct ts_ip dst, char reason, uint16_t from,
			   uint16_t to, int flags)
{
	struct ts_writer w = ts_writer_init(out, cap);

	ts_write_be16(&w, 0x4500);
	ts_write_be16(&w, (uint16_t)(HEADER_LEN + 7 + (flags >= 0)));
	ts_write_be32(&w, 0);
	ts_write_u8(&w, 64);
	ts_write_u8(&w, TSMP);
	ts_write_be16(&w, 0);
	ts_write_be32(&w, ts_ip_v4_host(&src));
	ts_write_be32(&w, ts_ip_v4_host(&dst));
	ts_write_u8(&w, '!');
	ts_write_u8(&w, IPPROTO_TCP);
	ts_write_u8(&w, (uint8_t)reason);
	ts_write_be16(&w, from);
	ts_write_be16(&w, to);
	if (flags >= 0)
		ts_write_u8(&w, (uint8_t)flags);
	assert_false(w.bad);
	return w.len;
}

/* Node 1 refuses the connection that node 0 has just begun. */
static void refuse(struct sim *sim, const struct sim_conn *c, char reason,
		   uint16_t to, int flags, size_t cut)
{
	struct ts_node *node = sim->nodes[0].node;
	struct node_peer *np = sim_peer(sim, 0, 1)->node_data;
	struct ts_addr local;
	struct ts_packet_header h;
	uint8_t bytes[64];
	struct ts_packet pkt = {.data = bytes};

	local = stack_tcp_local(c->tcp);
	pkt.len = write_reject(bytes, sizeof(bytes), sim_ip(1), sim_ip(0),
			       reason, local.port, to, flags) - cut;
	assert_int_equal(ts_packet_header_read(bytes, pkt.len + cut, &h), 0);
	node_tsmp_input(node, np, &h, &pkt);
}

static int err_of(char reason, uint16_t to, int flags, size_t cut)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c = sim_dial(sim, 0, 1, 10);
	int err;

	refuse(sim, c, reason, to, flags, cut);
	sim_run(sim, 10);
	err = c->is_over ? c->err : 0;
	sim_free(sim);
	return err;
}

static void reasons_are_errnos(void **state)
{
	(void)state;
	assert_int_equal(err_of('A', 80, -1, 0), -ECONNREFUSED);
	assert_int_equal(err_of('S', 80, -1, 0), -ECONNREFUSED);
	assert_int_equal(err_of('W', 80, 0, 0), -ECONNREFUSED);
	assert_int_equal(err_of('F', 80, 0, 0), -EHOSTUNREACH);
	assert_int_equal(err_of('T', 80, -1, 0), -EHOSTUNREACH);
	assert_int_equal(err_of('?', 80, -1, 0), -ECONNREFUSED);
}

static void what_may_be_broken_is_waited_for(void **state)
{
	(void)state;
	assert_int_equal(err_of('A', 80, 1, 0), 0);
}

static void others_connections_are_left_alone(void **state)
{
	(void)state;
	assert_int_equal(err_of('A', 81, -1, 0), 0);
	for (size_t cut = 1; cut <= 7; cut++)
		assert_int_equal(err_of('A', 80, -1, cut), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons_are_errnos),
		cmocka_unit_test(what_may_be_broken_is_waited_for),
		cmocka_unit_test(others_connections_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
