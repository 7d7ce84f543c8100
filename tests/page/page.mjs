// The tests of the page. Usage: see `check`.

import './chat.mjs';
import './rooms.mjs';
import './people.mjs';
import './long.mjs';
import './faults.mjs';
import './access.mjs';
import './ports.mjs';
