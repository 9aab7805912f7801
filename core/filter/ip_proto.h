/* SPDX-License-Identifier: BSD-3-Clause
 * ip_proto.h - protocol numbers and types that the filter tells apart
 */
#ifndef CORE_FILTER_IP_PROTO_H
#define CORE_FILTER_IP_PROTO_H

#include <netinet/in.h>

enum {
	TS_IPPROTO_TSMP = 99, /* "any private encryption scheme" */

	TCP_FLAG_SYN = 0x02,
	TCP_FLAG_ACK = 0x10,

	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,

	ICMP6_UNREACHABLE = 1,
	ICMP6_PACKET_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAMETER_PROBLEM = 4,
	ICMP6_ECHO_REPLY_TYPE = 129,
};

#endif
