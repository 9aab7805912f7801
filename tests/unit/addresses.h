/* SPDX-License-Identifier: BSD-3-Clause
 * addresses.h - addresses and prefixes from texts that are known to be good
 */
#ifndef TESTS_UNIT_ADDRESSES_H
#define TESTS_UNIT_ADDRESSES_H

#include "unit/test.h"

#include "core/base/addr.h"

static inline struct ts_ip ip_of(const char *text)
{
	struct ts_ip ip;

	assert_int_equal(ts_ip_parse(text, &ip), 0);
	return ip;
}

static inline struct ts_addr addr_of(const char *text)
{
	struct ts_addr addr;

	assert_int_equal(ts_addr_parse(text, &addr), 0);
	return addr;
}

static inline struct ts_prefix prefix_of(const char *text)
{
	struct ts_prefix prefix;

	assert_int_equal(ts_prefix_parse(text, &prefix), 0);
	return prefix;
}

#endif
