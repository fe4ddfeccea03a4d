# SPDX-License-Identifier: Apache-2.0
"""What the tests in Python share: how they report (report), jobs of mote run (jobs), images (oci), parts (parts)."""
