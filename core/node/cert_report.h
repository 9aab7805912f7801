/* SPDX-License-Identifier: BSD-3-Clause
 * cert_report.h - what whoever obtains the node's certificates says of them
 */
#ifndef CORE_NODE_CERT_REPORT_H
#define CORE_NODE_CERT_REPORT_H

#include <stdint.h>

enum ts_cert_challenge {
	TS_CERT_DNS01,
	TS_CERT_TLS_ALPN01,
	TS_CERT_CHALLENGES,
};

/* Of the orders at the CA. */
struct ts_cert_counts {
	uint64_t start, success, failure;
};

struct ts_cert_report {
	/* The names that have none to show before the CA gives one, sorted, as
	 * far as there is room; "": none. */
	char pending[256];
	struct ts_cert_counts orders[TS_CERT_CHALLENGES];
};

#endif
