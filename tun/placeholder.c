/* SPDX-License-Identifier: Apache-2.0 */

/* Keeps the library non-empty until its first file is there. */
typedef int placeholder_translation_unit;
