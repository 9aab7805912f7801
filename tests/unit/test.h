/* SPDX-License-Identifier: BSD-3-Clause
 * test.h - what every unit test includes before its own headers
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif
