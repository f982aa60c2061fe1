"""The feed: a page an analyst keeps open all day, and the same for machines.

- `app`, `context`: the application, and what its pages work with
- `pages_list`, `pages_incident`, `pages_actions`, `pages_entity`, `pages_access`, `api`: routes
- `filters`, `queries`, `usage`, `overview`, `story`: what is shown
- `live`: new and changed incidents as they come; `health`: whether we would know
- `identity`, `accounts`, `sessions`, `oidc`, `guard`, `audit`, `redact`: who may see and do what
- `render`: how values become text; `templates`, `static`: what browsers get
"""
