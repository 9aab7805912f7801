/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_filter_packet.c - inner packets through the filter
 *
 * First byte: which way. What is read of a packet must lie within it, and
 * nothing may be let in for an address that is not ours.
 */
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/filter/packet_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct ts_filter *filter_of_one_rule(const struct ts_ip *own)
{
	struct ts_prefix address = {*own, 128};
	struct ts_filter_src src = {.prefix = {*own, 96}};
	struct ts_filter_dst dst = {.prefix = {*own, 128}, .ports = {80, 443}};
	struct ts_filter_rule rule = {
		.srcs = &src, .src_count = 1, .dsts = &dst, .dst_count = 1};
	struct ts_peer self = {.addresses = &address, .address_count = 1};
	struct ts_netmap *map = ts_netmap_new();
	struct ts_filter *filter = ts_filter_new();

	map->self = &self;
	map->has_filter = true;
	map->filter = &rule;
	map->filter_rule_count = 1;
	if (ts_filter_set(filter, map))
		abort();
	map->self = NULL;
	map->filter = NULL;
	map->filter_rule_count = 0;
	ts_netmap_free(map);
	return filter;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct ts_filter *filter;
	static struct ts_ip own;
	struct ts_packet_header h;
	enum ts_verdict verdict;

	if (!filter) {
		ts_crypto_init();
		own = ts_ip_from_v4_host(0x64400001); /* 100.64.0.1 */
		filter = filter_of_one_rule(&own);
	}
	if (len < 1 || ts_packet_header_read(data + 1, len - 1, &h))
		return 0;
	if (h.l4_offset > len - 1)
		abort();
	if (data[0] % 2) {
		ts_filter_out(filter, &h);
		return 0;
	}
	verdict = ts_filter_in(filter, &h, NULL, 58436);
	if (verdict != TS_DROP && verdict != TS_REJECT_ACL && !h.is_fragment &&
	    !ts_ip_equal(&h.dst, &own))
		abort();
	if (verdict == TS_ACCEPT && h.proto == IPPROTO_TCP && !h.is_fragment &&
	    (h.tcp_flags & 0x12) == 0x02 && h.dst_port != 58436 &&
	    (h.dst_port < 80 || h.dst_port > 443))
		abort();
	return 0;
}
