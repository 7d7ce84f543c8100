// All pages, one after the other. Called by tests/seeds/check.
// Usage: [JWT_SECRET=...] node seeds.mjs INSTALLED CHROMIUM STACKS
//   INSTALLED: where the packages of package.json are   CHROMIUM: its path   STACKS: the URLs of each stack, in JSON

import './room_by_query.mjs';
import './rooms_on_the_map.mjs';
import './two_users.mjs';
import './groups_with_files.mjs';
import './broadcast.mjs';
import './broadcast_in_a_terminal.mjs';
