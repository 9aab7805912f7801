/* SPDX-License-Identifier: BSD-3-Clause
 * packet_filter.h - which packets of a peer may come in
 *
 * Default deny; compiled from the netmap's rules; UDP flows that we started
 * are remembered (LRU of 512). TCP is judged at the SYN. See PROTOCOL 10.
 * Source: wgengine/filter/{filter,match,tailcfg}.go
 */
#ifndef CORE_FILTER_PACKET_FILTER_H
#define CORE_FILTER_PACKET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/model/netmap.h"

struct ts_filter;

enum ts_verdict {
	TS_DROP,
	TS_ACCEPT,
	TS_REJECT_ACL, /* IPv4 TCP SYN refused by rules: answer by TSMP 'A' */
	TS_TSMP,       /* IP protocol 99: for the node, not for the stack */
};

/* The fields of an inner packet that decide; from packet_header.h. */
struct ts_packet_header {
	struct ts_ip src, dst;
	uint8_t proto;
	uint16_t src_port, dst_port; /* TCP, UDP, SCTP */
	uint8_t tcp_flags;
	uint8_t icmp_type;
	bool is_fragment; /* not the first */
	size_t l4_offset; /* of the transport header */
};
/* 0 or -EBADMSG (too short, bad version, lengths that disagree). */
int ts_packet_header_read(const uint8_t *pkt, size_t len,
			  struct ts_packet_header *out);

struct ts_filter *ts_filter_new(void); /* drops everything until set */
void ts_filter_free(struct ts_filter *filter);
/* Compile map's rules. Reads map->filter, self addresses, and (for the safety
 * check of 10.1) the peers; keeps no pointer into map. 0 or -ENOMEM: then
 * everything is denied, since what stood before may have been revoked. */
int ts_filter_set(struct ts_filter *filter, const struct ts_netmap *map);
/* The same for a node that routes for others. */
struct ts_local_routes; /* local_nets.h */
int ts_filter_set_routing(struct ts_filter *filter,
			  const struct ts_netmap *map,
			  const struct ts_local_routes *routes);
/* Is a packet to that address for us, be it that we route it for others? */
bool ts_filter_is_local(const struct ts_filter *filter,
			const struct ts_ip *dst);
/* The safety check of 10.1 failed at the last set: everything is denied, and
 * health should say so. */
bool ts_filter_is_void(const struct ts_filter *filter);
/* Shields up: only replies come in, from whomever. */
void ts_filter_set_shields(struct ts_filter *filter, bool are_up);
/* Peers' caps changed: cap: sources look at sender's cap_map given here. */
enum ts_verdict ts_filter_in(struct ts_filter *filter,
			     const struct ts_packet_header *h,
			     const struct ts_peer *sender,
			     uint16_t own_peerapi_port);
/* Records UDP/SCTP flows. TS_DROP for multicast and link-local, and for TSMP,
 * which only the node itself may send (past the filter). */
enum ts_verdict ts_filter_out(struct ts_filter *filter,
			      const struct ts_packet_header *h);
/* Would a new TCP connection src -> dst:port be accepted by the rules now? */
bool ts_filter_allows_tcp(const struct ts_filter *filter,
			  const struct ts_ip *src, const struct ts_ip *dst,
			  uint16_t port, const struct ts_peer *sender);
/* Capabilities granted to src towards dst: new object {cap: [..]}; NULL when
 * out of memory. */
json_t *ts_filter_caps(const struct ts_filter *filter,
		       const struct ts_ip *src, const struct ts_ip *dst);
/* Is this one of them? */
bool ts_filter_grants(const struct ts_filter *filter, const struct ts_ip *src,
		      const struct ts_ip *dst, const char *cap);
/* Does any rule give it to anybody? */
bool ts_filter_knows_cap(const struct ts_filter *filter, const char *cap);

#endif
