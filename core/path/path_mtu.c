/* SPDX-License-Identifier: BSD-3-Clause
 * path_mtu.c - how large a packet the path to a peer carries
 */
#include "core/path/path_mtu.h"

#include "core/base/packet.h"

enum {
	IP4_HEADER_LEN = 20,
	IP6_HEADER_LEN = 40,
	UDP_HEADER_LEN = 8,
	WIREGUARD_LEN = 32,
	WIREGUARD_PADDING = 16,
};

/* Jumbo frames of several clouds and switches, Ethernet, PPPoE, WireGuard, and
 * tunnels; smaller ones would gain nothing. The largest first: when it is
 * answered, the others' answers are no news. */
static const size_t sizes[] = {9000, 8896, 8000, 1500, 1492, 1460, 1420, 1400};

_Static_assert(sizeof(sizes) / sizeof(sizes[0]) == PATH_MTU_SIZES_MAX,
	       "room for all sizes");

void ts_path_mtu_reset(struct ts_path_mtu *m)
{
	*m = (struct ts_path_mtu){0};
}

size_t ts_path_mtu_due(struct ts_path_mtu *m, uint64_t now_ms,
		       size_t out[static PATH_MTU_SIZES_MAX])
{
	bool is_doubted;
	size_t count = 0;

	if (m->unanswered == PATH_MTU_LOST_MAX)
		ts_path_mtu_reset(m); /* smaller ones had no answer either */
	is_doubted = m->unanswered > 0;
	if (m->wire != 0) {
		out[count++] = m->wire;
		m->unanswered++;
	}
	if (now_ms >= m->search_ms)
		m->search_ms =
			now_ms + (m->searches++ == 0 ? PATH_MTU_RETRY_MS
						     : PATH_MTU_SEARCH_MS);
	else if (!is_doubted)
		return count;
	for (size_t i = 0; i < PATH_MTU_SIZES_MAX; i++)
		if (sizes[i] > m->wire || (is_doubted && sizes[i] < m->wire))
			out[count++] = sizes[i];
	return count;
}

static bool is_searched_for(size_t wire)
{
	for (size_t i = 0; i < PATH_MTU_SIZES_MAX; i++)
		if (sizes[i] == wire)
			return true;
	return false;
}

void ts_path_mtu_answered(struct ts_path_mtu *m, size_t wire)
{
	if (!is_searched_for(wire))
		return;
	/* It was sent after the size in use, which has no answer again. */
	if (wire < m->wire && m->unanswered < PATH_MTU_LOST_MAX)
		return;
	m->wire = wire;
	m->unanswered = 0;
}

static size_t headers_len(bool is_v6)
{
	return (is_v6 ? IP6_HEADER_LEN : IP4_HEADER_LEN) + UDP_HEADER_LEN;
}

size_t ts_path_mtu_inner(size_t wire, bool is_v6)
{
	size_t around = headers_len(is_v6) + WIREGUARD_LEN;
	size_t inner = 0;

	if (wire > around)
		inner = (wire - around) / WIREGUARD_PADDING * WIREGUARD_PADDING;
	return inner > TS_INNER_MTU ? inner : TS_INNER_MTU;
}

size_t ts_path_mtu_wire(size_t payload, bool is_v6)
{
	return payload + headers_len(is_v6);
}

size_t ts_path_mtu_payload(size_t wire, bool is_v6)
{
	return wire > headers_len(is_v6) ? wire - headers_len(is_v6) : 0;
}
