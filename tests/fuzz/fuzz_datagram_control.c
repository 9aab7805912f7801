/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_datagram_control.c - a program's control data, and what it is shown
 *
 * First byte: is there a table, and which interface. The rest lies where
 * nothing is behind it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/broker/datagram_control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct ts_table *make_table(void)
{
	struct ts_table_info info = {.mtu = 1280};
	struct ts_table *table = ts_table_new();

	if (!table || ts_ip_parse("100.64.0.1", &info.own_v4) ||
	    ts_ip_parse("fd7a:115c:a1e0::1", &info.own_v6))
		abort();
	ts_table_set_info(table, &info, NULL, NULL);
	return table;
}

static void check_rewritten(const struct msghdr *out, const uint8_t *room,
			    size_t len)
{
	if (out->msg_controllen > len ||
	    (out->msg_controllen > 0 && out->msg_control != room))
		abort();
	(void)ts_control_has_source(out);
	(void)ts_control_segment(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct ts_table *table;
	struct ts_flow_entry entry = {.tailnet_local = {.port = 7},
				      .tailnet_remote = {.port = 8}};
	struct msghdr msg = {0}, out;
	uint8_t *control, *room;
	uint8_t how;

	if (!table)
		table = make_table();
	if (len < 1)
		return 0;
	how = data[0];
	control = malloc(len - 1);
	room = malloc(TS_CONTROL_CAP);
	if ((len > 1 && !control) || !room)
		abort();
	if (len > 1)
		memcpy(control, data + 1, len - 1);
	msg.msg_control = control;
	msg.msg_controllen = len - 1;
	(void)ts_control_has_source(&msg);
	(void)ts_control_segment(&msg);
	if (ts_control_rewrite(how & 1 ? ts_table_layout(table) : NULL, &msg, &out, room) == 0)
		check_rewritten(&out, room, len - 1);
	if (ts_ip_parse(how & 2 ? "100.64.0.1" : "fd7a:115c:a1e0::1",
			&entry.tailnet_local.ip) ||
	    ts_ip_parse(how & 4 ? "100.64.0.2" : "fd7a:115c:a1e0::2",
			&entry.tailnet_remote.ip))
		abort();
	ts_control_show(&msg, &entry, how >> 3);
	free(control);
	free(room);
	return 0;
}
