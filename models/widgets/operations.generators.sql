-- How the rows of the three systems are made; a part of operations.sql.

-- The systems' entities: where they are, their keys, and how they are called outside.
CREATE TABLE operations.entity (
    entity text PRIMARY KEY,
    system text NOT NULL,
    relation regclass NOT NULL,
    key text NOT NULL,
    position int NOT NULL UNIQUE,
    parent regclass
);
COMMENT ON TABLE operations.entity IS 'the entities of the three systems; those with a parent can be made for each new row of it';
INSERT INTO operations.entity VALUES
    ('supplier', 'inventory', 'inventory.supplier', 'supplier_id', 1, NULL),
    ('product', 'inventory', 'inventory.product', 'product_id', 2, NULL),
    ('customer', 'ecommerce', 'ecommerce.customer', 'customer_id', 3, NULL),
    ('customer_address', 'ecommerce', 'ecommerce.customer_address', 'customer_address_id', 4, 'ecommerce.customer'),
    ('loyalty_number', 'ecommerce', 'ecommerce.loyalty_number', 'loyalty_number', 5, 'ecommerce.customer'),
    ('order', 'ecommerce', 'ecommerce.customer_order', 'order_id', 6, NULL),
    ('order_line_item', 'ecommerce', 'ecommerce.order_line_item', 'order_line_item_id', 7, 'ecommerce.customer_order'),
    ('store', 'in_store', 'in_store.store', 'store_id', 8, NULL),
    ('store_location', 'in_store', 'in_store.store_location', 'store_location_id', 9, 'in_store.store'),
    ('store_sales', 'in_store', 'in_store.store_sales', 'store_sales_id', 10, NULL),
    ('inventory', 'inventory', 'inventory.inventory', 'inventory_event_id', 11, NULL);

-- Declares every generator; dirt is the share of values with each fault of their column.
CREATE FUNCTION operations.declare_generators(dirt float8) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $f$
DECLARE
    -- The time of a row's birth within the day, and its first update time.
    born CONSTANT text := '{"kind": "timestamp", "distribution": "seasonal", "order": "ascending"}';
    changed CONSTANT text := '{"kind": "expression", "expression": "inserted_at", "dirt": {"late": $d, "out_of_order": $d}}';
    punctual CONSTANT text := '{"kind": "expression", "expression": "inserted_at"}';
    declaration record;
BEGIN
    -- Suppliers are entered at midnight: a product's supplier is there before the product.
    FOR declaration IN SELECT * FROM (VALUES
    ('inventory.supplier'::regclass, '{primary_contact_name,secondary_contact_name}'::text[], 'updated_at', $${
        "supplier_id": {"kind": "sequence"},
        "supplier_name": {"kind": "company", "dirt": {"case": $d, "spaces": $d}},
        "supplier_address": {"kind": "address", "name": "supplier_name", "dirt": {"bad_address": $d}},
        "primary_contact_name": {"kind": "name"}, "primary_contact_phone": {"kind": "phone"},
        "secondary_contact_name": {"kind": "name", "null_share": 0.3}, "secondary_contact_phone": {"kind": "phone", "null_share": 0.3},
        "supplier_web_site": {"kind": "expression", "expression": "'https://' || regexp_replace(lower(supplier_name), '[^a-z]+', '', 'g') || '.example'"},
        "supplier_introduction_date": {"kind": "date", "from": "2015-01-01", "to": "2023-12-31", "dirt": {"date_format": $d}},
        "supplier_is_preferred": {"kind": "boolean", "share": 0.3}, "supplier_is_active": {"kind": "boolean", "share": 0.95},
        "born": {"kind": "timestamp", "type": "timestamp", "distribution": "seasonal", "order": "ascending"},
        "inserted_at": {"kind": "expression", "expression": "date_trunc('day', born)"}, "updated_at": $changed}$$),
    ('inventory.product', '{product_category}', 'updated_at', $${
        "product_id": {"kind": "sequence"}, "product_name": {"kind": "product", "dirt": {"case": $d, "spaces": $d}},
        "product_description": {"kind": "text", "null_share": 0.1},
        "product_category": {"kind": "choice", "values": ["Home", "Tools", "Garden", "Office", "Outdoor", "Kitchen", "Electronics"],
                             "weights": [20, 18, 14, 14, 12, 12, 10], "dirt": {"case": $d, "spaces": $d, "missing": $d}},
        "product_brand": {"kind": "choice", "values": ["Acme", "Northwind", "Summit", "Evergreen", "Bluestone", "Atlas"], "weights": [5, 4, 3, 3, 2, 1]},
        "product_preferred_supplier_id": {"kind": "reference", "relation": "inventory.supplier", "column": "supplier_id", "popularity": 0.6},
        "product_unit_price": {"kind": "money", "min": 2, "max": 900, "distribution": "lognormal", "median": 24, "sigma": 0.9, "endings": [0.99, 0.99, 0.49, 0]},
        "margin": {"kind": "number", "type": "numeric", "min": 0.15, "max": 0.6, "distribution": "normal", "scale": 3},
        "product_unit_cost": {"kind": "expression", "expression": "round(product_unit_price * (1 - margin), 2)"},
        "product_dimension_length": {"kind": "number", "min": 2, "max": 200, "distribution": "lognormal", "median": 25, "scale": 1},
        "product_dimension_width": {"kind": "number", "min": 2, "max": 120, "distribution": "lognormal", "median": 15, "scale": 1},
        "product_dimension_height": {"kind": "number", "min": 1, "max": 120, "distribution": "lognormal", "median": 10, "scale": 1},
        "product_introduced_date": {"kind": "date", "from": "2018-01-01", "to": "2023-12-31", "dirt": {"date_format": $d}},
        "product_discontinued": {"kind": "boolean", "share": 0.03}, "product_no_longer_offered": {"kind": "boolean", "share": 0.02},
        "inserted_at": $born, "updated_at": $changed}$$),
    ('inventory.inventory', '{}', NULL, $${
        "inventory_event_id": {"kind": "sequence"},
        "inventory_event_type": {"kind": "choice", "values": ["shipment", "supply", "return"], "weights": [6, 3, 1], "dirt": {"undefined_code": $d, "case": $d}},
        "inventory_product_id": {"kind": "reference", "relation": "inventory.product", "column": "product_id", "popularity": 0.9},
        "inventory_supplier_id": {"kind": "reference", "relation": "inventory.product", "column": "product_preferred_supplier_id"},
        "inventory_warehouse_id": {"kind": "integer", "min": 1, "max": 6, "distribution": "zipf"},
        "inventory_quantity": {"kind": "integer", "min": 1, "max": 500, "distribution": "lognormal", "median": 20},
        "inventory_ship_address": {"kind": "reference", "relation": "ecommerce.customer_address", "column": "customer_address", "null_share": 0.4},
        "inventory_ship_customer_id": {"kind": "reference", "relation": "ecommerce.customer_address", "column": "customer_id", "null_share": 0.4},
        "inserted_at": $born, "updated_at": $changed}$$),
    ('ecommerce.customer', '{customer_email,customer_is_active}', 'customer_updated_at', $${
        "customer_id": {"kind": "sequence"},
        "customer_name": {"kind": "name", "sex": "sex", "dirt": {"case": $d, "spaces": $d, "missing": $d}},
        "clean_name": {"kind": "expression", "type": "text", "expression": "customer_name"},
        "customer_user_id": {"kind": "user_name", "from": "clean_name", "unique": true},
        "customer_password": {"kind": "pattern", "pattern": "************"},
        "customer_email": {"kind": "email", "from": "clean_name", "unique": true, "dirt": {"case": $d, "spaces": $d}},
        "customer_referral_type": {"kind": "choice", "values": ["OA", "AM", ""], "weights": [35, 20, 45], "dirt": {"undefined_code": $d}},
        "sex": {"kind": "choice", "type": "text", "values": ["F", "M"]},
        "customer_sex": {"kind": "expression", "expression": "sex", "dirt": {"undefined_code": $d, "case": $d, "missing": $d}},
        "customer_date_of_birth": {"kind": "date", "from": "1938-01-01", "to": "2005-12-31", "distribution": "normal"},
        "customer_loyalty_number": {"kind": "expression", "expression": "CASE WHEN customer_id % 5 < 2 THEN 100000 + customer_id / 5 * 2 + customer_id % 5 END"},
        "customer_credit_card_number": {"kind": "card"},
        "customer_is_preferred": {"kind": "boolean", "share": 0.15}, "customer_is_active": {"kind": "boolean", "share": 0.97},
        "customer_inserted_at": $born,
        "customer_updated_at": {"kind": "expression", "expression": "customer_inserted_at", "dirt": {"late": $d, "out_of_order": $d}}}$$),
    ('ecommerce.customer_address', '{customer_address}', 'updated_at', $${
        "customer_address_id": {"kind": "sequence"},
        "customer_id": {"kind": "parent", "relation": "ecommerce.customer"},
        "name": {"kind": "parent", "type": "text", "relation": "ecommerce.customer", "column": "customer_name"},
        "customer_address": {"kind": "address", "name": "name", "dirt": {"bad_address": $d}},
        "customer_address_type": {"kind": "choice", "values": ["S", "B"], "weights": [7, 3], "dirt": {"undefined_code": $d}},
        "inserted_at": {"kind": "parent", "relation": "ecommerce.customer", "column": "customer_inserted_at"},
        "updated_at": $changed}$$),
    ('ecommerce.loyalty_number', '{tier}', 'updated_at', $${
        "loyalty_number": {"kind": "sequence", "start": 100001},
        "customer_id": {"kind": "parent", "relation": "ecommerce.customer", "where": "customer_loyalty_number IS NOT NULL"},
        "inserted_at": {"kind": "parent", "relation": "ecommerce.customer", "column": "customer_inserted_at"},
        "issued": {"kind": "expression", "expression": "inserted_at::date"},
        "tier": {"kind": "choice", "values": ["Bronze", "Silver", "Gold"], "weights": [70, 22, 8], "dirt": {"case": $d}},
        "updated_at": $changed}$$),
    ('ecommerce.customer_order', '{order_special_instructions,order_cancelled}', 'updated_at', $${
        "order_id": {"kind": "sequence"},
        "customer_id": {"kind": "reference", "relation": "ecommerce.customer_address", "popularity": 0.6},
        "order_shipping_address_id": {"kind": "reference", "relation": "ecommerce.customer_address", "column": "customer_address_id"},
        "order_special_instructions": {"kind": "text", "min": 1, "max": 1, "null_share": 0.85},
        "order_shipping_cost": {"kind": "choice", "values": [0, 4.99, 7.99, 14.99], "weights": [40, 35, 20, 5]},
        "order_execution_time": {"kind": "expression", "expression": "inserted_at"},
        "order_cancelled": {"kind": "boolean", "share": 0.02},
        "inserted_at": $born, "updated_at": $changed}$$),
    ('ecommerce.order_line_item', '{order_line_comments}', 'updated_at', $${
        "order_line_item_id": {"kind": "sequence"},
        "order_id": {"kind": "parent", "relation": "ecommerce.customer_order"},
        "order_line_item_product_id": {"kind": "reference", "relation": "inventory.product", "column": "product_id", "popularity": 0.9},
        "order_line_item_unit_price": {"kind": "reference", "relation": "inventory.product", "column": "product_unit_price"},
        "order_line_item_quantity": {"kind": "integer", "min": 1, "max": 12, "distribution": "zipf", "exponent": 1.6},
        "order_line_item_total_price": {"kind": "expression", "expression": "order_line_item_quantity * order_line_item_unit_price"},
        "order_line_comments": {"kind": "text", "min": 1, "max": 1, "null_share": 0.93},
        "inserted_at": {"kind": "parent", "relation": "ecommerce.customer_order"}, "updated_at": $changed}$$),
    ('in_store.store', '{store_manager_name}', 'updated_at', $${
        "store_id": {"kind": "sequence"},
        "store_name": {"kind": "expression", "expression": "'Widgets Unlimited #' || store_id"},
        "store_manager_name": {"kind": "name", "dirt": {"case": $d, "spaces": $d}},
        "store_number_of_employees": {"kind": "integer", "min": 4, "max": 60, "distribution": "lognormal", "median": 14},
        "store_opened_date": {"kind": "date", "from": "2010-01-01", "to": "2023-12-31"},
        "inserted_at": $born, "updated_at": $punctual}$$),
    ('in_store.store_location', '{street_address}', 'updated_at', $${
        "store_location_id": {"kind": "sequence"}, "store_id": {"kind": "parent", "relation": "in_store.store"},
        "street_address": {"kind": "street", "dirt": {"case": $d, "spaces": $d}},
        "city": {"kind": "city", "dirt": {"case": $d, "spaces": $d}}, "state": {"kind": "state", "dirt": {"case": $d}}, "zip_code": {"kind": "zip", "dirt": {"missing": $d}},
        "sq_footage": {"kind": "integer", "min": 1500, "max": 40000, "distribution": "lognormal", "median": 6000},
        "inserted_at": {"kind": "parent", "relation": "in_store.store"}, "updated_at": $punctual}$$),
    ('in_store.store_sales', '{cc_number}', 'updated_at', $${
        "store_sales_id": {"kind": "sequence"},
        "store_id": {"kind": "reference", "relation": "in_store.store", "popularity": 0.5},
        "product_id": {"kind": "reference", "relation": "inventory.product", "popularity": 0.9},
        "unit_price": {"kind": "reference", "relation": "inventory.product", "column": "product_unit_price"},
        "quantity": {"kind": "integer", "min": 1, "max": 8, "distribution": "zipf", "exponent": 1.8},
        "total_price": {"kind": "expression", "expression": "quantity * unit_price"},
        "transaction_type": {"kind": "choice", "values": ["credit", "debit", "cash"], "weights": [55, 25, 20], "dirt": {"undefined_code": $d, "case": $d}},
        "transaction_date": {"kind": "expression", "expression": "inserted_at::date"},
        "cc_number": {"kind": "card", "null_share": 0.2},
        "loyalty_number": {"kind": "reference", "relation": "ecommerce.loyalty_number", "popularity": 0.6, "null_share": 0.55},
        "inserted_at": $born, "updated_at": $punctual}$$)) d(relation, mutable_columns, updated_at, columns)
    LOOP
        PERFORM wh.create_generator(declaration.relation,
            replace(replace(replace(replace(declaration.columns, '$born', born), '$changed', changed),
                            '$punctual', punctual), '$d', dirt::text)::jsonb,
            declaration.mutable_columns, declaration.updated_at);
    END LOOP;
END
$f$;
SELECT operations.declare_generators(operations.option('dirt')::float8);
